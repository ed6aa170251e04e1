"""Strict reading of a mapping: every fault is collected with file, line and key path, unknown keys included.

A value parser takes a node and returns a value or raises `ValueError` with what was expected and found.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, TypeVar, overload

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import Mapping, Node, Scalar, Sequence
from supervisor.reading.scalars import Wide, bool_of, found, integer_of, is_null, resolve
from supervisor.reading.yaml_text import read_yaml

T = TypeVar("T")
Parser = Callable[[Node], T]

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECS: Final = {None: "1", "ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400"}
_SIZE: Final = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB)?", re.ASCII)
_UNIT_BYTES: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# The highest id of a user or a group; the one above it means "unchanged".
MAX_ID: Final = 2**32 - 2
_AT: Final = re.compile(r" at line (\d+) column \d+")


class Faults:
    """All faults of one file, in the order they were met."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.texts: list[str] = []

    def add(self, node: Node, path: str, text: str) -> None:
        """Record a fault at the line of `node`."""
        self.texts.append(f"{self.file}:{max(node.line, 1)}: {path or 'document'}: {text}")


class Section:
    """A mapping being read; keys are taken one by one and `close()` reports those nobody took."""

    def __init__(self, faults: Faults, node: Node, path: str) -> None:
        self.node = node
        self.path = path
        self._faults = faults
        self._values: dict[str, tuple[Node, Node]] = {}
        if is_null(node):
            return
        if not isinstance(node, Mapping):
            faults.add(node, path, f"expected a mapping, found {found(node)}")
            return
        for key_node, value_node in node.items:
            key = _key(key_node)
            if key is None:
                faults.add(key_node, path, f"expected a text as key, found {found(key_node)}")
            elif key in self._values:
                faults.add(key_node, self.at(key), "duplicate key")
            else:
                self._values[key] = (key_node, value_node)

    def at(self, key: str) -> str:
        """Return the path of `key`."""
        return f"{self.path}.{key}" if self.path else key

    @overload
    def take(self, key: str, parse: Parser[T]) -> T | None: ...
    @overload
    def take(self, key: str, parse: Parser[T], default: T) -> T: ...
    def take(self, key: str, parse: Parser[T], default: T | None = None) -> T | None:
        """Return the parsed value of `key`, or `default` when it is absent or faulty (the fault is recorded)."""
        if key not in self._values:
            return default
        _, node = self._values.pop(key)
        try:
            return parse(node)
        except ValueError as exc:
            self._faults.add(node, self.at(key), str(exc))
            return default

    def has(self, key: str) -> bool:
        """Return whether `key` is present and not yet taken."""
        return key in self._values

    def fault(self, key: str, text: str) -> None:
        """Record a fault at `key`, or at the mapping itself when `key` is absent."""
        node = self._values[key][0] if key in self._values else self.node
        self._faults.add(node, self.at(key), text)

    def section(self, key: str) -> "Section":
        """Take the mapping under `key`; an absent one reads as empty."""
        if key not in self._values:
            return Section(self._faults, Mapping([], self.node.line, self.node.column), self.at(key))
        _, node = self._values.pop(key)
        return Section(self._faults, node, self.at(key))

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Take every remaining key as a mapping."""
        for key in list(self._values):
            yield key, self.section(key)

    def close(self) -> None:
        """Record the keys that nobody took."""
        for key, (key_node, _) in self._values.items():
            self._faults.add(key_node, self.at(key), "unknown key")
        self._values.clear()


def compose(text: str, faults: Faults) -> Section | None:
    """Return the one document of `text` as a section, or None with the fault recorded."""
    try:
        node = read_yaml(text)
    except DecodeError as exc:
        at = _AT.search(str(exc))
        faults.texts.append(f"{faults.file}:{at[1] if at else 1}: document: not YAML: {_AT.sub('', str(exc))}")
        return None
    if is_null(node):
        faults.add(node, "", "expected a mapping, found an empty file")
        return None
    return Section(faults, node, "")


def text(node: Node) -> str:
    """Parse a string; a plain one must not be a number, a truth value or null."""
    if not isinstance(node, Scalar) or (node.plain and not isinstance(resolve(node.text), str)):
        raise ValueError(f"expected a string, found {found(node)}")
    return node.text


def matching(pattern: re.Pattern[str]) -> Parser[str]:
    """Return a parser of strings that `pattern` matches as a whole."""

    def parse(node: Node) -> str:
        value = text(node)
        if not pattern.fullmatch(value):
            raise ValueError(f"expected {pattern.pattern}, found {quote(clip(value))}")
        return value

    return parse


def boolean(node: Node) -> bool:
    """Parse `true` or `false`."""
    value = bool_of(node.text) if isinstance(node, Scalar) and node.plain else None
    if value is None:
        raise ValueError(f"expected true or false, found {found(node)}")
    return value


def integer(low: int, high: int) -> Parser[int]:
    """Return a parser of integers in `low..high`."""

    def parse(node: Node) -> int:
        value = _integer_at(node)
        if not isinstance(value, int):
            raise ValueError(f"expected an integer, found {found(node)}")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, found {value}")
        return value

    return parse


def number(low: float, high: float) -> Parser[float]:
    """Return a parser of numbers in `low..high`."""

    def parse(node: Node) -> float:
        value = resolve(node.text) if isinstance(node, Scalar) and node.plain else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a number, found {found(node)}")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}, found {node_text(node)}")
        return float(value)

    return parse


def duration(low_secs: float, high_secs: float) -> Parser[float]:
    """Return a parser of durations (`250ms`, `10s`, `5m`, `24h`, `2d`, bare seconds) in seconds."""

    def parse(node: Node) -> float:
        match = _DURATION.fullmatch(node_text(node))
        if match is None:
            raise ValueError(f"expected a duration such as 250ms, 10s, 5m, 24h or 2d, found {found(node)}")
        secs = float(Decimal(match[1]) * Decimal(_UNIT_SECS[match[2]]))
        if not low_secs <= secs <= high_secs:
            raise ValueError(f"expected {low_secs:g} to {high_secs:g} seconds, found {match[0]}")
        return secs

    return parse


def size(low_bytes: int, high_bytes: int) -> Parser[int]:
    """Return a parser of sizes (integer bytes, `64KiB`, `16MiB`) in bytes."""

    def parse(node: Node) -> int:
        match = _SIZE.fullmatch(node_text(node))
        if match is None:
            raise ValueError(f"expected a size such as 65536, 64KiB or 16MiB, found {found(node)}")
        octets = int(match[1]) * _UNIT_BYTES[match[2]]
        if not low_bytes <= octets <= high_bytes:
            raise ValueError(f"expected {low_bytes} to {high_bytes} bytes, found {match[0]}")
        return octets

    return parse


def one_of(*values: T) -> Parser[T]:
    """Return a parser of a closed list of strings."""

    def parse(node: Node) -> T:
        value = text(node)
        for known in values:
            if known == value:
                return known
        raise ValueError(f"expected one of {', '.join(map(str, values))}, found {quote(clip(value))}")

    return parse


def abs_path(node: Node) -> str:
    """Parse an absolute path."""
    value = text(node)
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"expected an absolute path, found {quote(clip(value))}")
    return value


def file_mode(node: Node) -> int:
    """Parse an octal file mode, such as "0660"."""
    value = node_text(node)
    if not re.fullmatch(r"0[0-7]{3}", value) and not (re.fullmatch(r"[0-7]{3}", value) and not _is_plain(node)):
        raise ValueError(f'expected an octal mode such as "0660", found {found(node)}')
    return int(value, 8)


def list_of(parse_item: Parser[T], low: int = 0) -> Parser[tuple[T, ...]]:
    """Return a parser of lists with at least `low` items."""

    def parse(node: Node) -> tuple[T, ...]:
        if not isinstance(node, Sequence):
            raise ValueError(f"expected a list, found {found(node)}")  # noqa: TRY004
        items = tuple(parse_item(item) for item in node.items)
        if len(items) < low:
            raise ValueError(f"expected at least {low} item, found {len(items)}")
        return items

    return parse


def text_or_list(node: Node) -> tuple[str, ...]:
    """Parse a string or a list of strings."""
    return list_of(text, 1)(node) if isinstance(node, Sequence) else (text(node),)


def id_or_name(node: Node) -> int | str:
    """Parse the number or the name of a user or a group."""
    value = _integer_at(node)
    return text(node) if value is None else integer(0, MAX_ID)(node)


def node_text(node: Node) -> str:
    """Return the text of a scalar as it is written, and nothing for anything else."""
    return node.text if isinstance(node, Scalar) else ""


def _integer_at(node: Node) -> int | Wide | None:
    return integer_of(node.text) if isinstance(node, Scalar) and node.plain else None


def _is_plain(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain


def _key(node: Node) -> str | None:
    """Return a key as text; an integer reads as its decimal string."""
    if not isinstance(node, Scalar):
        return None
    value = _integer_at(node)
    return str(value) if isinstance(value, int) else node.text
