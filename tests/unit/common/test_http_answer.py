"""The plain answer: read as the library reads it, or not at all."""

import http.client
import io
import re
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.http_answer import fields_of, plain_answer, retry_after_secs


class Bytes:
    """A connection on which these bytes have come."""

    def __init__(self, received: bytes) -> None:
        self.received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.received)


def by_library(received: bytes) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    answer = http.client.HTTPResponse(cast("http.client.socket.socket", Bytes(received)), method="POST")  # type: ignore[attr-defined,name-defined]
    answer.begin()
    body = answer.read()
    return answer.status, body, not answer.will_close


names = st.sampled_from(
    ["Date", "Server", "X-A", "Content-Length", "content-length", "Transfer-Encoding", "Connection"]
)
values = st.sampled_from(
    ["0", "3", "03", "3, 3", "-1", "+3", "chunked", "keep-alive", "close", "x y", "", "\tz", "a\x00b"]
)
answers = st.builds(
    lambda version, status, reason, fields, body: (
        f"{version} {status}{reason}\r\n".encode("latin-1")
        + "".join(f"{name}:{space}{value}\r\n" for name, space, value in fields).encode("latin-1")
        + b"\r\n"
        + body
    ),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2", "ICY"]),
    st.sampled_from(["200", "204", "304", "100", "404", "503", "20", "2000", "abc"]),
    st.sampled_from([" OK", "", " ", " caf\xe9", "\r\n folded"]),
    st.lists(st.tuples(names, st.sampled_from([" ", "", "\t"]), values), max_size=4),
    st.sampled_from([b"", b"abc", b"abcd", b"ab"]),
)


@given(answers)
@example(b"HTTP/1.1 204 No Content\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc")
def test_what_is_plain_reads_as_the_library_reads_it(received: bytes) -> None:
    """Status and body are the same, the body is whole, and the connection is one that may be kept."""
    plain = plain_answer(received)
    if plain is not None:
        status, fields, body = plain
        assert (status, body, True) == by_library(received)
        assert received.partition(b"\r\n")[2] == fields + b"\r\n" + body


@given(answers)
@example(b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
def test_the_last_answer_of_a_connection_may_say_that_it_closes(received: bytes) -> None:
    """Then, too, status, body and fields are those that the library reads."""
    plain = plain_answer(received, is_last=True)
    if plain is not None:
        status, fields, body = plain
        assert (status, body) == by_library(received)[:2]
        assert set(fields_of(fields)) == {
            name.lower() for name in re.findall(r"(?m)^([\w-]+):", fields.decode("latin-1"))
        }
    if plain_answer(received) is not None:
        assert plain == plain_answer(received)


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: today\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length:9\r\nConnection: keep-alive\r\n\r\nnot found",
        b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_receivers_say_is_plain(received: bytes) -> None:
    """Answers as Go, nginx and others give them take the short way."""
    assert plain_answer(received) is not None


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_unusual_is_left_to_the_library(received: bytes) -> None:
    """Not whole yet, two answers at once, framing other than one length, white space where there is none."""
    assert plain_answer(received) is None


@pytest.mark.parametrize(
    ("fields", "secs"),
    [
        (b"Content-Length: 0\r\nRetry-After: 120\r\n", 120.0),
        (b"retry-after:\t0 \r\n", 0.0),
        (b"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 10.0),
        (b"Retry-After: Sun, 06 Nov 1994 08:49:17 GMT\r\n", 0.0),
        (b"Retry-After: -1\r\n", 0.0),
        (b"Retry-After: 1.5\r\n", 0.0),
        (b"Retry-After: soon\r\n", 0.0),
        (b"Retry-After:\r\n", 0.0),
        (b"X-Retry-After: 5\r\n", 0.0),
        (b"", 0.0),
    ],
)
def test_a_receiver_says_when_to_come_back(fields: bytes, secs: float) -> None:
    """In seconds or as an instant; what is neither says nothing."""
    assert retry_after_secs(fields_of(fields).get("retry-after"), 784111767.0) == secs
