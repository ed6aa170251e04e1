"""Severities, and what the texts of log templates may hold. Source: docs/scenarios.md, "Logs"."""

from typing import Final

from common.errors import DecodeError
from common.plan import SEVERITIES
from common.specs import LogTemplate, Template
from common.units import clip, quote

SEVERITY_CODES: Final = {name: code for code, name in enumerate(SEVERITIES)} | {"warning": SEVERITIES.index("warn")}
"""What a severity may be called, in small letters, to its place among `SEVERITIES`."""

MAX_EVENT_BYTES: Final = 65_536
"""Of one rendered message and its fields, at their longest: a short template may name a long pool many times."""


def check_template(spec: LogTemplate) -> None:
    """Raise DecodeError for a severity that does not exist."""
    for name in spec.severity_weights or ():
        if name.lower() not in SEVERITY_CODES:
            raise DecodeError(f"unknown severity {quote(clip(name.lower()))}: must be one of {', '.join(SEVERITIES)}")


def longest_event_bytes(spec: LogTemplate) -> int:
    """Return the size of the longest event that `spec` can render: message, field names and field values."""
    return max((_longest(template) for template in spec.templates), default=0)


def placeholders(message: str) -> tuple[list[tuple[str, str]], str]:
    """Return the placeholders of a message, each as the text before it and its name, and the text behind the last.

    A name stands between `{` and the next `}`, verbatim.
    """
    pieces: list[tuple[str, str]] = []
    done = 0
    while (opening := message.find("{", done)) >= 0 and (closing := message.find("}", opening)) >= 0:
        pieces.append((message[done:opening], message[opening + 1 : closing]))
        done = closing + 1
    return pieces, message[done:]


def _longest(template: Template) -> int:
    pools = {name: max((_size(value) for value in values), default=0) for name, values in template.field_pools.items()}
    pieces, tail = placeholders(template.message)
    message = sum(_size(text) + pools.get(name, _size(name) + len("{}")) for text, name in pieces) + _size(tail)
    return message + sum(_size(name) + longest for name, longest in pools.items())


def _size(text: str) -> int:
    return len(text.encode())
