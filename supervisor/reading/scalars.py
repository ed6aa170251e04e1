"""What a plain text means in YAML 1.2, and how values are named in messages.

Two regimes decide. In the direct one (top level, entries, labels) the target's type decides: `1.0` is the text `1.0`
where a string is wanted. In the tagged one (inside a block selected by `type`) the text decides first, as null, bool,
int, float or string, and must then fit. Source: docs/scenarios.md, "YAML and JSON".
"""

import re
from typing import Final

from common.units import clip, number_text, quote
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode

NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL: Final = re.compile(r"[+-]?(?:0|[1-9]\d*)", re.ASCII)
_RADIX: Final = re.compile(r"([+-]?)(?:0x([0-9a-fA-F]+)|0o([0-7]+)|0b([01]+))")
_LEADING_ZERO: Final = re.compile(r"[+-]?0\d+", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SPECIAL: Final = {
    sign + word: value
    for word in (".inf", ".Inf", ".INF")
    for sign, value in (("", float("inf")), ("+", float("inf")), ("-", float("-inf")))
} | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))

MAX_UNSIGNED: Final = 2**64 - 1
MIN_SIGNED: Final = -(2**63)
_MAX_DIGITS: Final = 80
"""More digits than 64 bits in base two can have, sign and zeros included; spares the conversion of longer texts."""


class Wide:
    """The value of an integer text that does not fit 64 bits."""


Value = None | bool | int | float | str | Wide


def resolve(text: str) -> Value:
    """Return the value of a plain scalar in the tagged regime."""
    if text in NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    integer = integer_of(text)
    if integer is not None:
        return integer
    if _LEADING_ZERO.fullmatch(text):
        return text
    number = float_of(text)
    return text if number is None else number


def bool_of(text: str) -> bool | None:
    """Return the boolean a plain text stands for, or None."""
    return _BOOLEANS.get(text)


def integer_of(text: str) -> int | Wide | None:
    """Return the integer a plain text stands for, `Wide` outside 64 bits, None for another text."""
    radix = _RADIX.fullmatch(text)
    if radix is None and not _DECIMAL.fullmatch(text):
        return None
    if len(text) > _MAX_DIGITS:
        return Wide()
    if radix is None:
        value = int(text)
    else:
        sign, hexadecimal, octal, binary = radix.groups()
        base = 16 if hexadecimal else 8 if octal else 2
        value = int(sign + (hexadecimal or octal or binary), base)
    return value if MIN_SIGNED <= value <= MAX_UNSIGNED else Wide()


def float_of(text: str) -> float | None:
    """Return the number a plain decimal text stands for, None for another text or one that overflows float64."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    return None if value in (float("inf"), float("-inf")) else value


def found(node: Node) -> str:
    """Return how a message names what stands at `node`, e.g. ``string "x"``."""
    if isinstance(node, MappingNode):
        return "map"
    if isinstance(node, SequenceNode):
        return "sequence"
    value = resolve(node.text) if node.plain else node.text
    match value:
        case None:
            return "unit value"
        case bool():
            return f"boolean `{'true' if value else 'false'}`"
        case int():
            return f"integer `{value}`"
        case Wide():
            return f"integer `{clip(node.text)}`"
        case float():
            digits = number_text(value)
            return f"floating point `{digits if not digits.lstrip('-').isdigit() else digits + '.0'}`"
        case str():
            return f"string {quote(clip(node.text))}"


def is_null(node: Node) -> bool:
    """Say whether `node` is a plain null-like text: an absent value wherever one may be absent."""
    return isinstance(node, ScalarNode) and node.plain and node.text in NULLS
