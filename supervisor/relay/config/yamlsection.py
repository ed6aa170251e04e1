"""Strict reading of a YAML mapping: every fault is collected with file, line and key path, unknown keys included.

A value parser takes a node and returns a value or raises `ValueError` with what was expected and found.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, TypeVar, overload

import yaml

T = TypeVar("T")
Parser = Callable[[yaml.Node], T]

_TAG: Final = "tag:yaml.org,2002:"
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECS: Final = {None: "1", "ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400"}
_SIZE: Final = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB)?", re.ASCII)
_UNIT_BYTES: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_MAX_SHOWN_CHARS: Final = 60


class Faults:
    """All faults of one file, in the order they were met."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.texts: list[str] = []

    def add(self, node: yaml.Node, path: str, text: str) -> None:
        """Record a fault at the line of `node`."""
        self.texts.append(f"{self.file}:{node.start_mark.line + 1}: {path or 'document'}: {text}")


class Section:
    """A mapping being read; keys are taken one by one and `close()` reports those nobody took."""

    def __init__(self, faults: Faults, node: yaml.Node, path: str) -> None:
        self.node = node
        self.path = path
        self._faults = faults
        self._values: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        if _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode) or node.tag != f"{_TAG}map":
            faults.add(node, path, f"expected a mapping, found {found(node)}")
            return
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key is None:
                faults.add(key_node, path, f"expected a key of plain text, found {found(key_node)}")
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
        except ValueError as error:
            self._faults.add(node, self.at(key), str(error))
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
            return Section(self._faults, yaml.MappingNode(f"{_TAG}map", [], self.node.start_mark), self.at(key))
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
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.texts.append(f"{faults.file}:{line}: document: not YAML: {error.problem}")
        return None
    except (yaml.YAMLError, RecursionError) as error:
        faults.texts.append(f"{faults.file}:1: document: not YAML: {type(error).__name__}")
        return None
    if node is None:
        faults.texts.append(f"{faults.file}:1: document: expected a mapping, found an empty file")
        return None
    return Section(faults, node, "")


def found(node: yaml.Node) -> str:
    """Return a short description of what stands at `node`."""
    if isinstance(node, yaml.ScalarNode):
        return f"{node.tag.removeprefix(_TAG)} {str(node.value)[:_MAX_SHOWN_CHARS]!r}"
    plain = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
    return plain if node.tag in (f"{_TAG}map", f"{_TAG}seq") else f"{plain} tagged {node.tag[:_MAX_SHOWN_CHARS]}"


def text(node: yaml.Node) -> str:
    """Parse a string.

    What YAML 1.1 takes for a date or for a truth value in words (`2011-06-30`, `off`) is the text it was written as.
    """
    if _is_scalar(node, "str", "timestamp") or (_is_scalar(node, "bool") and not _is_truth_value(node)):
        return str(node.value)
    raise ValueError(f"expected a string, found {found(node)}")


def matching(pattern: re.Pattern[str]) -> Parser[str]:
    """Return a parser of strings that `pattern` matches as a whole."""

    def parse(node: yaml.Node) -> str:
        value = text(node)
        if not pattern.fullmatch(value):
            raise ValueError(f"expected {pattern.pattern}, found {value[:_MAX_SHOWN_CHARS]!r}")
        return value

    return parse


def boolean(node: yaml.Node) -> bool:
    """Parse `true` or `false`."""
    if _is_truth_value(node):
        return str(node.value).lower() == "true"
    raise ValueError(f"expected true or false, found {found(node)}")


def integer(low: int, high: int) -> Parser[int]:
    """Return a parser of decimal integers in `low..high`."""

    def parse(node: yaml.Node) -> int:
        if not _is_decimal(node):
            raise ValueError(f"expected an integer, found {found(node)}")
        value = int(node.value)
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, found {value}")
        return value

    return parse


def number(low: float, high: float) -> Parser[float]:
    """Return a parser of numbers in `low..high`."""

    def parse(node: yaml.Node) -> float:
        if not isinstance(node, yaml.ScalarNode) or node.tag not in (f"{_TAG}int", f"{_TAG}float"):
            raise ValueError(f"expected a number, found {found(node)}")
        try:
            value = float(node.value)
        except ValueError:
            raise ValueError(f"expected a decimal number, found {found(node)}") from None
        if not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}, found {node.value}")
        return value

    return parse


def duration(low_secs: float, high_secs: float) -> Parser[float]:
    """Return a parser of durations (`250ms`, `10s`, `5m`, `24h`, `2d`, bare seconds) in seconds."""

    def parse(node: yaml.Node) -> float:
        match = _DURATION.fullmatch(str(node.value)) if _is_scalar(node, "str", "int", "float") else None
        if match is None:
            raise ValueError(f"expected a duration such as 250ms, 10s, 5m, 24h or 2d, found {found(node)}")
        secs = float(Decimal(match[1]) * Decimal(_UNIT_SECS[match[2]]))
        if not low_secs <= secs <= high_secs:
            raise ValueError(f"expected {low_secs:g} to {high_secs:g} seconds, found {node.value}")
        return secs

    return parse


def size(low_bytes: int, high_bytes: int) -> Parser[int]:
    """Return a parser of sizes (integer bytes, `64KiB`, `16MiB`) in bytes."""

    def parse(node: yaml.Node) -> int:
        match = _SIZE.fullmatch(str(node.value)) if _is_scalar(node, "str", "int") else None
        if match is None:
            raise ValueError(f"expected a size such as 65536, 64KiB or 16MiB, found {found(node)}")
        octets = int(match[1]) * _UNIT_BYTES[match[2]]
        if not low_bytes <= octets <= high_bytes:
            raise ValueError(f"expected {low_bytes} to {high_bytes} bytes, found {node.value}")
        return octets

    return parse


def one_of(*values: T) -> Parser[T]:
    """Return a parser of a closed list of strings."""

    def parse(node: yaml.Node) -> T:
        value = text(node)
        for known in values:
            if known == value:
                return known
        raise ValueError(f"expected one of {', '.join(map(str, values))}, found {value[:_MAX_SHOWN_CHARS]!r}")

    return parse


def abs_path(node: yaml.Node) -> str:
    """Parse an absolute path."""
    value = text(node)
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"expected an absolute path, found {value[:_MAX_SHOWN_CHARS]!r}")
    return value


def file_mode(node: yaml.Node) -> int:
    """Parse an octal file mode written as a string, such as "0660"."""
    value = text(node) if _is_scalar(node, "str") else ""
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise ValueError(f'expected an octal mode in quotes such as "0660", found {found(node)}')
    return int(value, 8)


def list_of(parse_item: Parser[T], low: int = 0) -> Parser[tuple[T, ...]]:
    """Return a parser of lists with at least `low` items."""

    def parse(node: yaml.Node) -> tuple[T, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise ValueError(f"expected a list, found {found(node)}")  # noqa: TRY004
        items = tuple(parse_item(item) for item in node.value)
        if len(items) < low:
            raise ValueError(f"expected at least {low} item, found {len(items)}")
        return items

    return parse


def text_or_list(node: yaml.Node) -> tuple[str, ...]:
    """Parse a string or a list of strings."""
    return list_of(text, 1)(node) if isinstance(node, yaml.SequenceNode) else (text(node),)


def _is_scalar(node: yaml.Node, *kinds: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag in {f"{_TAG}{kind}" for kind in kinds}


def _is_truth_value(node: yaml.Node) -> bool:
    return _is_scalar(node, "bool") and str(node.value).lower() in ("true", "false")


def _is_null(node: yaml.Node) -> bool:
    return _is_scalar(node, "null")


def _is_decimal(node: yaml.Node) -> bool:
    return _is_scalar(node, "int") and re.fullmatch(r"-?\d{1,18}", str(node.value), re.ASCII) is not None


def _key(node: yaml.Node) -> str | None:
    """Return a key as text; an integer key reads as its decimal string."""
    if _is_decimal(node):
        return str(int(node.value))
    return str(node.value) if _is_scalar(node, "str", "timestamp", "bool", "null") else None
