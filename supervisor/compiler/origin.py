"""Where the parts of a body stand in the text that was posted."""

from collections.abc import Sequence
from typing import NamedTuple

from supervisor.compiler.language.interpolate import Interpolation
from supervisor.reading.json_text import Member, positions
from supervisor.reading.messages import Steps, path_text
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode


class Spot(NamedTuple):
    """A path that the text has, and its position; 0 where it has none."""

    path: str
    line: int
    column: int


class Origin:
    """The text of one body and what was read from it.

    Args:
        text: as it was posted.
        root: what the reader made of it.
        interpolation: what replaced references in a YAML text before it was read; None for JSON.

    Attributes:
        entries: the steps to each entry, in the order in which the compiler has them.
    """

    def __init__(self, text: str, root: Node, interpolation: Interpolation | None) -> None:
        self._text = text
        self._root = root
        self._interpolation = interpolation
        self.entries: tuple[Steps, ...] = ()

    def locate(self, wanted: Sequence[tuple[Steps, bool]]) -> list[Spot]:
        """Return the spots of places; the deepest part that the text has stands for one that it lacks.

        Args:
            wanted: the steps to a value from the root, and whether its key is meant.
        """
        found = [self._find(steps) for steps, _ in wanted]
        if self._interpolation is None:
            places = [
                Member(members, on_key=on_key and len(steps) == len(members))
                for (_, members, _), (steps, on_key) in zip(found, wanted, strict=True)
            ]
            at = positions(self._text, set(places))
            return [
                Spot(path_text(steps), *at.get(place, (0, 0)))
                for (steps, _, _), place in zip(found, places, strict=True)
            ]
        return [
            Spot(path_text(steps), *self.posted(*(key if on_key and len(asked) == len(steps) else node)))
            for (steps, _, (node, key)), (asked, on_key) in zip(found, wanted, strict=True)
        ]

    def posted(self, line: int, column: int) -> tuple[int, int]:
        """Return where that which the reader saw at `line` and `column` stands in the posted text."""
        return self._interpolation.position(line, column) if self._interpolation and line else (line, column)

    def _find(self, steps: Steps) -> "_Found":
        found = _walk(self._root, steps)
        if len(found.steps) < len(steps) and steps[:1] == ("scenarios",):
            # What an entry does not have itself may come from the defaults.
            inherited = _walk(self._root, ("defaults", *steps[2:]))
            if len(inherited.steps) + 1 > max(len(found.steps), 2):
                return inherited
        return found


class _Found(NamedTuple):
    """The steps that a text has, the same by position, and the positions of the value and its key."""

    steps: Steps
    members: tuple[int, ...]
    where: tuple[tuple[int, int], tuple[int, int]]


def _walk(root: Node, steps: Steps) -> _Found:
    node, key = root, root
    taken: list[str | int] = []
    members: list[int] = []
    for step in steps:
        following = _member(node, step)
        if following is None:
            break
        place, key, node = following
        taken.append(step)
        members.append(place)
    return _Found(tuple(taken), tuple(members), ((node.line, node.column), (key.line, key.column)))


def _member(node: Node, step: str | int) -> tuple[int, Node, Node] | None:
    """Return the place of a member, its key (an item is its own) and its value."""
    match node:
        case MappingNode(items=pairs):
            named = ((place, key, value) for place, (key, value) in enumerate(pairs) if _is_named(key, step))
            return next(named, None)
        case SequenceNode(items=items) if isinstance(step, int) and step < len(items):
            return step, items[step], items[step]
    return None


def _is_named(key: Node, step: str | int) -> bool:
    return isinstance(key, ScalarNode) and key.text == step
