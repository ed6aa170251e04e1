"""How the decoder words what it finds: the path, the fault, the position, and a hint where one can be guessed."""

import difflib
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, at
from supervisor.reading.scalars import bool_of, found

MAX_UNKNOWN_LISTED: Final = 20
_MAX_COMPARED_CHARS: Final = 60
_YAML_1_1_BOOLEANS: Final = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}

Steps = tuple[str | int, ...]


class Place(NamedTuple):
    """Where in the document: the key or index and the place it belongs to; None is the root."""

    parent: "Place | None"
    step: str | int


class Unknown(NamedTuple):
    """A key that the language does not have there."""

    place: Place | None
    key: ScalarNode
    known: tuple[str, ...]

    @property
    def fault(self) -> DecodeError:
        """What is wrong with the key alone."""
        expected = f"expected {one_of(self.known)}" if self.known else "there are no fields"
        problem = f"unknown field `{clip(self.key.text)}`, {expected}"
        return DecodeError(
            f"{_prefix(self.place)}{problem}{at(self.key)}",
            problem=problem,
            at=steps(Place(self.place, self.key.text)),
            on_key=True,
            line=self.key.line,
            column=self.key.column,
            hint=did_you_mean(self.key.text, self.known),
        )


def unknown_text(unknown: list[Unknown]) -> str:
    """Return the message for unknown keys: one with the names expected instead, several with their paths."""
    if len(unknown) == 1:
        return str(unknown[0].fault)
    paths = [f"{path(Place(place, key.text))}{at(key)}" for place, key, _ in unknown[:MAX_UNKNOWN_LISTED]]
    more = len(unknown) - MAX_UNKNOWN_LISTED
    return f"unknown fields in scenario file: {', '.join(paths)}{f', … and {more} more' if more > 0 else ''}"


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """Return a hint that names what was probably meant, or None."""
    near = nearest(written.lower(), known)
    return None if near is None else f"did you mean `{near}`?"


def nearest(written: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the one of `known` that is most like `written`, if any is as like as `difflib` counts for a quotient."""
    if len(written) > _MAX_COMPARED_CHARS:
        return None
    return next(iter(difflib.get_close_matches(written, list(known), n=1, cutoff=likeness)), None)


def steps(place: Place | None) -> Steps:
    """Return the keys and indexes that lead from the root to `place`."""
    reversed_steps: list[str | int] = []
    while place is not None:
        reversed_steps.append(place.step)
        place = place.parent
    return tuple(reversed(reversed_steps))


def path(place: Place | None) -> str:
    """Return the dotted path of a place, e.g. ``scenarios[2].sink.retry``; empty for the root."""
    return path_text(steps(place))


def path_text(taken: Steps) -> str:
    """Return steps as a dotted path."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{clip(step)}" for step in taken).removeprefix(".")


def fault(
    place: Place | None,
    node: Node,
    problem: str,
    status: int = 400,
    hint: str | None = None,
    *,
    on_key: bool = False,
    within: Steps = (),
) -> DecodeError:
    """Return the error for `node`: its path, the problem, its position.

    Args:
        place: where the node stands, or, with `on_key`, the mapping whose key it is.
        node: what is wrong.
        problem: what is wrong with it.
        status: as the error has it.
        hint: as the error has it.
        on_key: whether the node is a key.
        within: steps from the node to what is wrong in it.
    """
    key = (node.text,) if on_key and isinstance(node, ScalarNode) else ()
    return DecodeError(
        f"{_prefix(place)}{problem}{at(node)}",
        status,
        problem=problem,
        at=(*steps(place), *key, *within),
        on_key=bool(key),
        line=0 if within else node.line,
        column=0 if within else node.column,
        hint=hint,
    )


def wrong(place: Place | None, node: Node, expected: str, hint: str | None = None) -> DecodeError:
    """Return the error for a node of another kind than `expected`."""
    kind = "value" if found(node).startswith("integer `") and expected[0] == "u" else "type"
    return fault(
        place, node, f"invalid {kind}: {found(node)}, expected {expected}", hint=hint or _hint_of(node, expected)
    )


def duplicate(place: Place | None, key: Node, name: str) -> DecodeError:
    """Return the error for a key that was there before."""
    return fault(place, key, f"duplicate entry with key {quote(clip(name))}", on_key=True)


def unknown_variant(
    place: Place | None, node: Node, text: str, known: tuple[str, ...], hint: str | None = None
) -> DecodeError:
    """Return the error for a word that is none of `known`."""
    problem = f"unknown variant `{clip(text)}`, expected {one_of(known)}"
    return fault(place, node, problem, hint=hint or did_you_mean(text, known))


def short_form(place: Place | None, node: Node, variants: Collection[str]) -> str | None:
    """Return how a block is written of which only the type was given."""
    field_name = place.step if place is not None else None
    if isinstance(node, ScalarNode) and isinstance(field_name, str) and node.text in variants:
        return f"`{field_name}: {node.text}` is written `{field_name}: {{type: {node.text}}}`"
    return None


def meant(missing: str, node: MappingNode, fields: Collection[str]) -> str | None:
    """Return a hint at the key that was probably meant to be `missing`."""
    written = [key.text for key, _ in node.items if isinstance(key, ScalarNode) and key.text not in fields]
    near = [text for text in written if (hint := did_you_mean(text, fields)) is not None and f"`{missing}`" in hint]
    return f"`{clip(near[0])}` is probably meant to be `{missing}`" if near else None


def one_of(names: tuple[str, ...]) -> str:
    """Return `` `a` ``, `` `a` or `b` ``, or `` one of `a`, `b`, `c` ``."""
    quoted = [f"`{name}`" for name in names]
    return " or ".join(quoted) if len(quoted) <= 2 else f"one of {', '.join(quoted)}"


def without_value(error: DecodeError) -> DecodeError:
    """Return an error about the type of a secret that does not quote it."""
    kind, comma, expected = error.problem.rpartition(", expected")
    words = kind.split(" ")[:3]
    problem = f"{' '.join(words)}{comma}{expected}" if comma else error.problem
    return DecodeError(
        str(error).replace(error.problem, problem),
        error.status,
        problem=problem,
        at=error.at,
        on_key=error.on_key,
        line=error.line,
        column=error.column,
    )


def _hint_of(node: Node, expected: str) -> str | None:
    if isinstance(node, MappingNode) and expected == "a sequence":
        return "a list is written with a dash before each item"
    if not isinstance(node, ScalarNode):
        return None
    text = node.text
    match expected:
        case "a boolean" if text.lower() in _YAML_1_1_BOOLEANS:
            return f"write `{_YAML_1_1_BOOLEANS[text.lower()]}`: YAML 1.2 knows only true and false"
        case "a boolean" if not node.plain and bool_of(text) is not None:
            return f"write {text} without quotes"
        case "a string" if node.plain and text:
            return f'put it in quotes: "{clip(text)}"'
        case "f64" | "u64" | "u32" | "u8" if not node.plain and _is_number(text):
            return f"write {text} without quotes"
        case "f64":
            return "a number is expected, such as 10 or 0.5"
        case "u64" | "u32" | "u8":
            return "a whole number is expected, such as 10"
        case "a sequence" if text:
            return f"a list of one is written [{clip(text)}]"
    return None


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal() and text.isascii()


def _prefix(place: Place | None) -> str:
    return f"{path(place)}: " if place else ""
