"""The request reader, without any socket."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.relay.net.answer import RefusedRequestError
from supervisor.relay.net.head import parse_head
from supervisor.relay.net.request import RequestReader

Outcome = tuple[object, ...]

WHOLE = [
    b"POST /checks/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"\r\nPOST /c HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nhel\r\n02 \r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n",
    b"POST / HTTP/1.1\r\nX-Long: " + b"a" * 300 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"broken\r\n\r\n",
]


def read(*pieces: bytes) -> Outcome:
    reader = RequestReader(200, 50)
    try:
        for piece in pieces:
            if reader.complete:
                break
            reader.feed(piece)
    except RefusedRequestError as refused:
        return ("refused", refused.status, refused.code, refused.message)
    if reader.request is None:
        return ("incomplete",)
    request = reader.request
    fault = request.body_fault.status if request.body_fault else None
    return (reader.complete, request.method, request.target, request.headers, request.body, fault)


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_of_the_bytes_reads_the_same(raw: bytes, cuts: list[int]) -> None:
    """The outcome does not depend on how the bytes arrive."""
    at = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    pieces = [raw[start:end] for start, end in itertools.pairwise(at)]
    assert read(*pieces) == read(raw)


@given(st.lists(st.binary(max_size=40) | st.sampled_from(WHOLE), max_size=6))
def test_arbitrary_bytes_are_a_request_or_a_refusal(pieces: list[bytes]) -> None:
    """Nothing else than a refusal comes out of garbage."""
    read(*pieces)


def test_the_limits_are_inclusive() -> None:
    """A head and a body of exactly the limit are taken, one byte more is not."""
    head = b"POST / HTTP/1.1\r\nContent-Length: 50\r\nX: "
    fitting = head + b"a" * (200 - len(head) - 4) + b"\r\n\r\n"
    assert len(fitting) == 200
    assert read(fitting + b"b" * 50)[0] is True
    assert read(fitting.replace(b"X: ", b"X: a"))[1] == 431
    assert read(b"POST / HTTP/1.1\r\nContent-Length: 51\r\n\r\n")[5] == 413


def test_continue_is_wanted_once_and_only_while_the_body_is_awaited() -> None:
    """A body that is already on its way needs no invitation."""
    reader = RequestReader(200, 50)
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert (reader.wants_continue(), reader.wants_continue()) == (True, False)
    reader = RequestReader(200, 50)
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\na")
    assert reader.wants_continue() is False


def test_bytes_after_the_request_are_noticed() -> None:
    """They belong to a pipelined request, which is not served."""
    reader = RequestReader(200, 50)
    reader.feed(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert (reader.complete, reader.excess) == (True, True)


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: b\0", b"GET / HTTP/1.1\r\nA: b\rc", b"\x7f"],
)
def test_what_will_never_be_a_head_is_refused_before_its_end(raw: bytes) -> None:
    """Nobody waits for an empty line that a TLS client or a line feed client will not send."""
    assert read(raw)[:3] == ("refused", 400, "InvalidHeader")


LONG_BYTES = 2 << 20
HOSTILE = {
    "blanks": (b"X:", b"\t", b"\x7f"),
    "blanks and letters": (b"X:", b" a", b"\x00"),
    "colons": (b"X", b":", b"\x7f"),
    "names": (b"", b"a", b" : b"),
    "short lines": (b"", b"a:b\r\n", b"\x7f"),
    "lines of blanks": (b"a:b\r\n", b" \t\r\n", b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_reading_a_head_takes_no_longer_than_its_length(name: str) -> None:
    """Strangers may send one that makes a reader go back with every byte: such a reader would not come to its end."""
    start, piece, end = HOSTILE[name]
    with contextlib.suppress(RefusedRequestError):
        parse_head(b"GET / HTTP/1.1\r\n" + start + piece * (LONG_BYTES // len(piece)) + end + b"\r\n")


@given(st.lists(st.sampled_from([b"A", b":", b" ", b"\t", b"\r", b"\n", b"\r\n", b"/", b"HTTP/1.1", b"\0", b"\xff"])))
def test_any_head_is_parsed_or_refused(pieces: list[bytes]) -> None:
    """Headers that come out hold no control character and no name that is not a token."""
    head = None
    with contextlib.suppress(RefusedRequestError):
        head = parse_head(b"GET / HTTP/1.1\r\n" + b"".join(pieces) + b"\r\n")
    for name, values in head.headers.items() if head else ():
        assert name
        assert not set(name) & set(" \t\r\n:/\0")
        assert not any(set(value) & set("\r\n\0") or value != value.strip(" \t") for value in values)
