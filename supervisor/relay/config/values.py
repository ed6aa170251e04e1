"""What the values of the configuration file look like: each function returns how a field of that kind is read.

Every reader takes a node and returns a value, or raises ValueError with what was expected and found.

Source: examples/relay.yaml.
"""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from msgspec import Meta

from common.units import clip, quote
from supervisor.reading.nodes import Node, ScalarNode, SequenceNode
from supervisor.reading.scalars import Wide, found, integer_of, resolve
from supervisor.relay.net.unixsock import MAX_PATH_BYTES

DAY_SECS: Final = 86400.0
# The highest id of a user or a group; the one above it means "unchanged".
MAX_ID: Final = 2**32 - 2
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECS: Final = {None: "1", "ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400"}
# Bounds that only keep a number readable.
_ANY: Final = 2**62
_SIZE: Final = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB)?", re.ASCII)
_UNIT_BYTES: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def read_by(read: Callable[[Node], Any], what: str, show: Callable[[Any], str] = str, default: str = "") -> Meta:
    """Return the mark of a field that `read` reads.

    Args:
        read: from a node to the value.
        what: what the field takes, for the reference.
        show: writes a default as the file would.
        default: the default in words, where no value says it.
    """
    extra: dict[str, Any] = {"read": read, "show": show}
    return Meta(description=what, extra=extra | ({"default": default} if default else {}))


def text(node: Node) -> str:
    """Read a string; a plain one must not be a number, a truth value or null."""
    if not isinstance(node, ScalarNode) or (node.plain and not isinstance(resolve(node.text), str)):
        raise ValueError(f"expected a string, found {found(node)}")
    return node.text


def matching(pattern: re.Pattern[str], what: str = "", default: str = "") -> Meta:
    """A string that `pattern` matches as a whole; `what` begins the message about one that it does not match."""

    def read(node: Node) -> str:
        value = key_text(node) if what else text(node)
        if not pattern.fullmatch(value):
            raise ValueError(f"{what}expected {pattern.pattern}, found {quote(clip(value))}")
        return value

    return read_by(read, f"text that matches `{pattern.pattern}`", default=default)


def integer(low: int, high: int) -> Meta:
    """An integer in `low..high`."""

    def read(node: Node) -> int:
        value = integer_at(node)
        if not isinstance(value, int):
            raise ValueError(f"expected an integer, found {found(node)}")  # noqa: TRY004
        if not low <= value <= high:
            expected = f"{low} to {high}" if low < high else str(low)
            raise ValueError(f"expected {expected}, found {value}")
        return value

    return read_by(read, "integer" if high >= _ANY else f"integer, {low} to {high}")


def number(low: float, high: float) -> Meta:
    """A number in `low..high`."""

    def read(node: Node) -> float:
        value = resolve(node.text) if isinstance(node, ScalarNode) and node.plain else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a number, found {found(node)}")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}, found {written(node)}")
        return float(value)

    return read_by(read, "number" if high >= _ANY else f"number, {low:g} to {high:g}", "{:g}".format)


def duration(low_secs: float, high_secs: float) -> Meta:
    """A duration in seconds: `250ms`, `10s`, `5m`, `24h`, `2d`, or bare seconds."""

    def read(node: Node) -> float:
        match = _DURATION.fullmatch(written(node))
        if match is None:
            raise ValueError(f"expected a duration such as 250ms, 10s, 5m, 24h or 2d, found {found(node)}")
        secs = float(Decimal(match[1]) * Decimal(_UNIT_SECS[match[2]]))
        if not low_secs <= secs <= high_secs:
            raise ValueError(f"expected {low_secs:g} to {high_secs:g} seconds, found {match[0]}")
        return secs

    return read_by(read, f"duration, {_duration_text(low_secs)} to {_duration_text(high_secs)}", _duration_text)


def size(low_bytes: int, high_bytes: int) -> Meta:
    """A size in bytes: an integer, `64KiB`, `16MiB`."""

    def read(node: Node) -> int:
        match = _SIZE.fullmatch(written(node))
        if match is None:
            raise ValueError(f"expected a size such as 65536, 64KiB or 16MiB, found {found(node)}")
        size_bytes = int(match[1]) * _UNIT_BYTES[match[2]]
        if not low_bytes <= size_bytes <= high_bytes:
            raise ValueError(f"expected {low_bytes} to {high_bytes} bytes, found {match[0]}")
        return size_bytes

    return read_by(read, f"size, {_size_text(low_bytes)} to {_size_text(high_bytes)}", _size_text)


def abs_path(node: Node) -> str:
    """Read an absolute path."""
    value = text(node)
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"expected an absolute path, found {quote(clip(value))}")
    return value


def socket_path(node: Node) -> str:
    """Read the path of a Unix socket."""
    path = abs_path(node)
    fault = too_long(path)
    if fault is not None:
        raise ValueError(fault)
    return path


def too_long(path: str) -> str | None:
    """Return what is wrong with a socket path that no Unix socket can have."""
    is_long = len(os.fsencode(path)) > MAX_PATH_BYTES
    return f"socket path longer than {MAX_PATH_BYTES} bytes: {path}" if is_long else None


def file_mode(node: Node) -> int:
    """Read an octal file mode, such as "0660"."""
    value = written(node)
    is_plain = isinstance(node, ScalarNode) and node.plain
    if not re.fullmatch(r"0[0-7]{3}", value) and not (re.fullmatch(r"[0-7]{3}", value) and not is_plain):
        raise ValueError(f'expected an octal mode such as "0660", found {found(node)}')
    return int(value, 8)


def octal(mode: int) -> str:
    """Return a file mode as it is written."""
    return f'"{mode:04o}"'


def one_or_more(node: Node) -> tuple[str, ...]:
    """Read a string or a list of strings."""
    if not isinstance(node, SequenceNode):
        return (text(node),)
    if not node.items:
        raise ValueError("expected at least 1 item, found 0")
    return tuple(text(item) for item in node.items)


def id_or_name(node: Node) -> int | str:
    """Read the number or the name of a user or a group."""
    value = integer_at(node)
    if value is None:
        return text(node)
    if not isinstance(value, int) or not 0 <= value <= MAX_ID:
        raise ValueError(f"expected 0 to {MAX_ID}, found {written(node)}")
    return value


def key_text(node: Node) -> str:
    """Read a key as text; an integer reads as its decimal string."""
    if not isinstance(node, ScalarNode):
        raise ValueError(f"expected a text as key, found {found(node)}")  # noqa: TRY004
    value = integer_at(node)
    return str(value) if isinstance(value, int) else node.text


def integer_at(node: Node) -> int | Wide | None:
    """Return the integer that stands at `node`, `Wide` outside 64 bits, None for anything else."""
    return integer_of(node.text) if isinstance(node, ScalarNode) and node.plain else None


def written(node: Node) -> str:
    """Return the text of a scalar as it is written, and nothing for anything else."""
    return node.text if isinstance(node, ScalarNode) else ""


def _duration_text(secs: float) -> str:
    for unit, unit_secs in (("d", 86400), ("h", 3600), ("m", 60)):
        if secs >= unit_secs and secs % unit_secs == 0:
            return f"{secs / unit_secs:g}{unit}"
    return f"{secs:g}s" if secs >= 1 or not secs else f"{secs * 1000:g}ms"


def _size_text(size_bytes: int) -> str:
    for unit, unit_bytes in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)
