"""Heads of requests: what is refused, and that no bytes break the reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.http.request_head import chunk_fault, early_fault, ends_connection, head_fault, start_line

_pieces = st.sampled_from(
    [
        b"GET", b"get", b"POST", b" ", b"/", b"/a%2Fb?x", b"*", b"http://h/", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0",
        b"\r\n", b"\n", b"\r", b"\t", b"\x00", b"\xff", b"Host", b":", b"h", b"Content-Length", b"5", b"05", b"-1",
        b"Transfer-Encoding", b"chunked", b",",
    ]
)  # fmt: skip
any_bytes = st.lists(_pieces, max_size=24).map(b"".join) | st.binary(max_size=200)


@given(any_bytes)
def test_any_bytes_are_judged(head: bytes) -> None:
    """There is a verdict on everything, and a head that is let in has a first line."""
    if head_fault(head) is None:
        line = start_line(head)
        assert line.method
        assert line.minor_version in (0, 1)


@given(any_bytes, st.integers(0, 200))
def test_a_fault_that_shows_early_stays(head: bytes, length: int) -> None:
    """What is refused before all of it has come is refused as a whole as well."""
    if early_fault(head[:length]) is not None:
        assert early_fault(head) is not None


_names = st.from_regex(rb"[A-Za-z][A-Za-z-]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"host", b"content-length", b"transfer-encoding")
)
_values = st.from_regex(rb"[!-~\x80-\xff]{0,12}", fullmatch=True)


@given(st.sampled_from([b"GET", b"get", b"BREW"]), st.lists(st.tuples(_names, _values), max_size=5))
def test_whatever_is_http_is_let_in(method: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Methods and headers that nobody knows are no faults, whole or in parts."""
    lines = [method + b" /x HTTP/1.1", b"Host: h:1", *(name + b":" + value for name, value in headers), b"", b""]
    head = b"\r\n".join(lines)
    assert head_fault(head) is None
    assert start_line(head) == (method.decode(), "/x", 1)
    assert all(early_fault(head[:length]) is None for length in range(len(head) + 1))


@pytest.mark.parametrize(
    ("options", "minor_version", "ends"),
    [("", 1, False), ("", 0, True), ("Keep-Alive", 0, False), ("x, Close", 1, True), ("keep-alive, close", 0, True)],
)
def test_who_ends_a_connection(options: str, minor_version: int, ends: bool) -> None:
    """1.1 stays unless told otherwise, 1.0 ends unless told otherwise, and close wins."""
    assert ends_connection(options, minor_version) is ends


@pytest.mark.parametrize(
    ("line", "trailer", "text"),
    [
        (b"5;name=value", b"", None),
        (b"", b"Expires: now\r\n\r\n", None),
        (b"5\n", b"", "lines end with CR LF"),
        (b"", b"Expires: now\n\r\n", "lines end with CR LF"),
        (b"5;" + b"x" * 1023, b"", "chunk size or trailer without end"),
        (b"", b"x" * 4097, "chunk size or trailer without end"),
    ],
)
def test_chunk_lines_and_trailers_have_an_end(line: bytes, trailer: bytes, text: str | None) -> None:
    """Both are bounded, and end their lines as heads do."""
    fault = chunk_fault(line, trailer)
    assert (None if fault is None else fault.text) == text
