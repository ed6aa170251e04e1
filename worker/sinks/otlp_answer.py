"""What receivers of OpenTelemetry answer, read out of their messages. Pure.

Source: opentelemetry.io/docs/specs/otlp, "Partial success" and "Throttling"; opentelemetry-proto,
collector/*/v1/*_service.proto; googleapis, google/rpc/status.proto and error_details.proto.
"""

from collections.abc import Iterator
from typing import Final

from worker.sinks.batching import Rejection

_MAX_WORDS_CHARS: Final = 200
_RETRY_INFO: Final = b"/google.rpc.RetryInfo"

_Value = int | bytes


def partial_success(answer: bytes) -> Rejection | None:
    """Return what a receiver refused out of a request that it took; None when it took everything.

    An answer that cannot be read says nothing: the request was taken.
    """
    told = _message(_message(answer).get(1, b""))
    rejected, words = told.get(1, 0), told.get(2, b"")
    if not isinstance(rejected, int) or not isinstance(words, bytes) or not rejected:
        return None
    text = words.decode(errors="replace")[:_MAX_WORDS_CHARS]
    return Rejection(f"{rejected} records rejected" + (f": {text}" if text else ""), rejected)


def retry_delay_secs(status: bytes) -> float | None:
    """Return how long a receiver asks to be left alone in the details of its status; None when it does not ask."""
    try:
        details = [_message(value) for number, value in _fields(status) if number == 3]
    except (IndexError, ValueError):
        return None
    for detail in details:
        kind = detail.get(1, b"")
        if isinstance(kind, bytes) and kind.endswith(_RETRY_INFO):
            delay = _message(_message(detail.get(2, b"")).get(1, b""))
            seconds, nanos = delay.get(1, 0), delay.get(2, 0)
            return seconds + nanos / 1e9 if isinstance(seconds, int) and isinstance(nanos, int) else 0.0
    return None


def _message(message: _Value) -> dict[int, _Value]:
    """Return the newest value of every field of a message; nothing of what is none."""
    try:
        return dict(_fields(message)) if isinstance(message, bytes) else {}
    except (IndexError, ValueError):
        return {}


def _fields(message: bytes) -> Iterator[tuple[int, _Value]]:
    """Yield number and value of every field: a number, or bytes.

    Raises:
        IndexError: it is cut short.
        ValueError: it has a field of another type.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError
