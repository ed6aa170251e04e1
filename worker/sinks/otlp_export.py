"""Requests and answers of OpenTelemetry's export services, whatever carries them. Pure.

Source: opentelemetry.io/docs/specs/otlp; opentelemetry-proto, collector/*/v1/*_service.proto.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final, Literal

from common.plan import EntryPlan
from worker.encoders.otlp import attributes
from worker.encoders.protobuf import field, with_lengths
from worker.sinks.batching import Piece, Rejection

_SCOPE_NAME: Final = b"sonda"
_ITEMS: Final = 2
_MAX_WORDS_CHARS: Final = 200

Signal = Literal["metrics", "logs"]


class Exports:
    """Requests of one entry: its static labels are the resource, its records the items of one scope.

    Args:
        plan: the entry.
    """

    def __init__(self, plan: EntryPlan) -> None:
        self._resource = field(1, attributes(1, sorted(plan.labels.items())))
        self._scope = field(1, field(1, _SCOPE_NAME) + field(2, version("sondad").encode()))

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the request with all records of `pieces`, in order."""
        items = b"".join(with_lengths(piece.payload, piece.record_ends(), _ITEMS) for piece in pieces)
        return field(1, self._resource + field(2, self._scope + items))


def partial_success(answer: bytes) -> Rejection | None:
    """Return what a receiver refused out of a request that it took; None when it took everything.

    An answer that cannot be read says nothing: the request was taken.
    """
    try:
        told = _fields(answer).get(1, b"")
        parts = _fields(told) if isinstance(told, bytes) else {}
    except (IndexError, ValueError):
        return None
    rejected, words = parts.get(1, 0), parts.get(2, b"")
    if not isinstance(rejected, int) or not isinstance(words, bytes) or not rejected:
        return None
    text = words.decode(errors="replace")[:_MAX_WORDS_CHARS]
    return Rejection(f"{rejected} records rejected" + (f": {text}" if text else ""), rejected)


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Return the newest value of every field of a message: a number, or bytes.

    Raises:
        IndexError: it is cut short.
        ValueError: it has a field of another type.
    """
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            found[tag >> 3], at = _varint(message, at)
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError
            found[tag >> 3], at = message[at : at + length], at + length
        else:
            raise ValueError
    return found


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
