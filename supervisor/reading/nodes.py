"""The tree both readers produce: text and shape, no types yet.

A scalar keeps its source text and whether it was plain, because what a text means depends on where it stands
(`scalars.py`). Positions are 1-based; nodes read from JSON have none (line 0). An alias is the very node it names.
Source: docs/scenarios.md, "YAML and JSON".
"""

from dataclasses import dataclass
from typing import Final

MAX_DEPTH: Final = 128
"""Containers inside one another, the root being the first: above any scenario, far below any stack."""


MAX_CONTAINERS: Final = 100_000
"""Lists and maps of one document: what a megabyte of brackets would make of the memory and of everybody's time."""

TOO_MANY_CONTAINERS: Final = f"more than {MAX_CONTAINERS} lists and maps"


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A text; `plain` when it stood without quotes, so that it may also be a number, a boolean or null.

    JSON has one kind of number, YAML tells integers from floats: `is_json_number` marks the former.
    """

    text: str
    plain: bool
    line: int = 0
    column: int = 0
    is_json_number: bool = False


@dataclass(slots=True, eq=False)
class SequenceNode:
    """A list."""

    items: "list[Node]"
    line: int = 0
    column: int = 0


@dataclass(slots=True, eq=False)
class MappingNode:
    """Keys and values in text order; equal keys are still there."""

    items: "list[tuple[Node, Node]]"
    line: int = 0
    column: int = 0

    def get(self, name: str) -> "Node | None":
        """Return the value of the first key with this text, or None."""
        return next((value for key, value in self.items if isinstance(key, ScalarNode) and key.text == name), None)


Node = ScalarNode | SequenceNode | MappingNode


def at(node: Node) -> str:
    """Return ` at line L column C`, or nothing for a node without a position."""
    return f" at line {node.line} column {node.column}" if node.line else ""
