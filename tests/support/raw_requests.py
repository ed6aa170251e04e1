"""Requests that are not what RFC 9110 and 9112 call one, as bytes, with the answers that are right.

Every server of ours is sent each of them: it answers at once with one of the statuses and closes the connection, and
whatever stands behind the request is not served. A server that takes more than the standard says names the exception
in its own test.
"""

from typing import NamedTuple

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


class RawRequest(NamedTuple):
    """What is sent, and the statuses of which one must come back."""

    raw: bytes
    statuses: tuple[int, ...]


def _head(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


_TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(range(160))

RAW_REQUESTS: dict[str, RawRequest] = {
    "length and chunks": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 4", b"Transfer-Encoding: chunked")
        + b"0\r\n\r\n"
        + SMUGGLED,
        (400,),
    ),
    "chunked twice": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n" + SMUGGLED,
        (400, 501),
    ),
    "chunked in two lines": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")
        + b"0\r\n\r\n"
        + SMUGGLED,
        (400, 501),
    ),
    "an unknown coding": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: gzip") + b"0\r\n\r\n" + SMUGGLED, (400, 501)
    ),
    "chunks in HTTP/1.0": RawRequest(
        _head(b"POST / HTTP/1.0", b"Host: x", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED, (400,)
    ),
    "two lengths": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 4", b"Content-Length: 5") + b"abcde", (400,)
    ),
    "a list of lengths": RawRequest(_head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 4, 5") + b"abcde", (400,)),
    "a length with a sign": RawRequest(_head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: +4") + b"abcd", (400,)),
    "a negative length": RawRequest(_head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: -1"), (400,)),
    "a length that is no number": RawRequest(_head(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 0x4"), (400,)),
    "a bad chunk size": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n", (400,)
    ),
    "a chunk longer than its size": RawRequest(
        _head(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked") + b"2\r\nabcd\r\n0\r\n\r\n", (400,)
    ),
    "no host": RawRequest(_head(b"GET / HTTP/1.1"), (400,)),
    "two hosts": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b"Host: y"), (400,)),
    "a version that does not exist": RawRequest(_head(b"GET / HTTP/9.9", b"Host: x"), (400, 505)),
    "no version": RawRequest(_head(b"GET /", b"Host: x"), (400,)),
    "a target that is no URI": RawRequest(_head(b"GET nowhere HTTP/1.1", b"Host: x"), (400,)),
    "a target with a blank": RawRequest(_head(b"GET /a b HTTP/1.1", b"Host: x"), (400,)),
    "no target": RawRequest(_head(b"GET  HTTP/1.1", b"Host: x"), (400,)),
    "a folded header": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b"X-A: b", b" c"), (400,)),
    "a blank before the colon": RawRequest(_head(b"GET / HTTP/1.1", b"Host : x"), (400,)),
    "a header without a colon": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b"nothing"), (400,)),
    "a header without a name": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b": nothing"), (400,)),
    "NUL in a header": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b"X-A: b\0c"), (400,)),
    "bare line feeds": RawRequest(b"GET / HTTP/1.1\nHost: x\n\n", (400,)),
    "a bare carriage return": RawRequest(_head(b"GET / HTTP/1.1", b"Host: x", b"X-A: b\rX-C: d"), (400,)),
    "a TLS client": RawRequest(_TLS_HELLO, (400,)),
    "another protocol": RawRequest(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", (400,)),
}
