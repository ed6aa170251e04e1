"""Answers of the relay: the closed list of codes and the header set that every response carries.

Source: docs/relay.md, "Reports".
"""

import base64
import hashlib
import json
import random
import re
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec

from common.errors import SondadError

Code = Literal[
    "InvalidArgument",
    "InvalidHeader",
    "MissingParameter",
    "NotAuthorized",
    "RequestTooLarge",
    "ResourceNotFound",
    "UnknownError",
]

_MAX_QUOTED_CHARS: Final = 128
_JSON: Final = "application/json"
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
# Version and variant of a UUID stand between its random bits. Source: RFC 9562, section 5.4.
_VERSION_4: Final = 4 << 76 | 2 << 62
_RANDOM_BITS: Final = ~(15 << 76 | 3 << 62)
_encode_ascii: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


class RelayAnswer(msgspec.Struct, frozen=True):
    """Status, body and what the envelope needs beside them. `code` is for the audit log."""

    status: int
    body: bytes = b""
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""


class RefusedRequestError(SondadError):
    """A request that is answered with an error. `headers` are extra ones, such as `Retry-After`."""

    def __init__(self, status: int, code: Code, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def answer(self) -> RelayAnswer:
        """Return the error body with exactly `code` and `message`."""
        body = _encode_ascii({"code": self.code, "message": self.message}).encode()
        return RelayAnswer(self.status, body, headers=self.headers, code=self.code)


ACCEPTED: Final = RelayAnswer(202)


def malformed(message: str) -> RefusedRequestError:
    """Return the refusal of a request that is not HTTP."""
    return RefusedRequestError(400, "InvalidHeader", message)


def json_answer(value: Any, status: int = 200) -> RelayAnswer:
    """Return `value` as compact ASCII JSON."""
    return RelayAnswer(status, _encode_ascii(value).encode())


def quoted(text: str) -> str:
    """Return text of the requester, cut so that it fits into a message."""
    return text[:_MAX_QUOTED_CHARS]


def request_uuid(values: list[str]) -> str | None:
    """Return the requester's id in upper case, or None when there is not exactly one UUID."""
    return values[0].upper() if len(values) == 1 and _UUID.fullmatch(values[0]) else None


def new_request_id() -> str:
    """Return a fresh version 4 UUID in upper case."""
    # PERF: `uuid.uuid4` and its text take as long as all other headers together.
    number = random.getrandbits(128) & _RANDOM_BITS | _VERSION_4
    text = f"{number:032X}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class AnswerWriter:
    """Renders answers; `server_name` and the default API version come from the configuration."""

    def __init__(self, server_name: str, default_version: str) -> None:
        self.default_version = default_version
        self._fixed = (
            "Access-Control-Allow-Origin: *\r\n"
            "Access-Control-Allow-Methods: HEAD, GET, POST, PUT, DELETE\r\n"
            f"Server: {server_name}\r\n"
            "Connection: close\r\n"
        )
        self._date = (0, "")

    def render(
        self, answer: RelayAnswer, *, request_id: str, version: str, elapsed_ms: int, head_only: bool = False
    ) -> bytes:
        """Return the whole response; with `head_only` the body is left out and its headers stay."""
        body = answer.body
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        if body:
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            extra += f"Content-Type: {answer.content_type}\r\nContent-MD5: {digest}\r\n"
        head = (
            f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\n{self._fixed}Date: {self._now()}\r\n"
            f"X-Api-Version: {version}\r\nX-Request-Id: {request_id}\r\nX-Response-Time: {elapsed_ms}\r\n"
            f"{extra}Content-Length: {len(body)}\r\n\r\n"
        ).encode("latin-1")
        return head if head_only else head + body

    def _now(self) -> str:
        second = int(time.time())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]
