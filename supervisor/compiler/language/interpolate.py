"""`${NAME}` and `${NAME:-default}`, in one pass over the raw text, comments and keys included.

Source: docs/scenarios.md, "Environment".
"""

import bisect
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.yaml_text import LINE_END

MAX_INSERTED_CHARS: Final = 16 * 1024 * 1024
"""What all references of one body may put in: a short body can name a long variable many times."""

NEVER_SET: Final = frozenset({"SONDA_API_KEY"})
"""Variables that a scenario may not read: it could send them anywhere."""

_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


class _Piece(NamedTuple):
    """A part of the text after: where it begins there and where in the text before, and whether it was put in."""

    after: int
    before: int
    is_reference: bool


class Interpolation:
    """The references of one body, read against one environment.

    Args:
        environment: what may be read.
        rule: how hints begin about a variable that is not set, if the environment is not the whole one.
    """

    def __init__(self, environment: Mapping[str, str], rule: str = "") -> None:
        self._environment = environment
        self._rule = rule
        self._inserted = 0
        self._before = self._after = ""
        self._pieces: list[_Piece] = []

    def text(self, source: str) -> str:
        """Return `source` with every reference replaced; `$$` is a `$`, and what was put in is not read again.

        Raises:
            DecodeError: a variable without value and default, a bad name, no closing brace, or a bound exceeded.
        """
        self._before = source
        self._after, self._pieces = self._replace(source)
        return self._after

    def position(self, line: int, column: int) -> tuple[int, int]:
        """Return where in the text before stands what is at `line` and `column` of the text after; all 1-based."""
        if len(self._pieces) < 2:
            return line, column
        offset = _offset_of_line(self._after, line) + column - 1
        piece = self._pieces[bisect.bisect_right(self._pieces, offset, key=lambda piece: piece.after) - 1]
        return _line_and_column(self._before, piece.before + (0 if piece.is_reference else offset - piece.after))

    def node(self, node: Node) -> Node:
        """Return `node` with its texts interpolated; a text in which something was put in is plain afterwards.

        Meant for JSON, where a reference can only stand in a string: `"${RATE:-5}"` is the number 5.

        Raises:
            DecodeError: as `text`.
        """
        match node:
            case ScalarNode(text=source):
                if "$" not in source:
                    return node
                text, pieces = self._replace(source)
                return ScalarNode(text, node.plain or any(piece.is_reference for piece in pieces))
            case SequenceNode(items=items):
                return SequenceNode([self._below(place, item) for place, item in enumerate(items)])
            case MappingNode(items=pairs):
                return MappingNode([(self.node(key), self._below(_text(key), value)) for key, value in pairs])

    def _below(self, step: str | int, node: Node) -> Node:
        try:
            return self.node(node)
        except DecodeError as exc:
            exc.at, exc.line, exc.column = (step, *exc.at), 0, 0
            raise

    def _replace(self, source: str) -> tuple[str, list["_Piece"]]:
        """Return the text after, and the pieces that it consists of."""
        parts: list[str] = []
        pieces: list[_Piece] = []
        references: list[tuple[int, int]] = []
        done = after = 0

        def add(text: str, before: int, *, is_reference: bool = False) -> None:
            nonlocal after
            parts.append(text)
            pieces.append(_Piece(after, before, is_reference))
            after += len(text)

        while (dollar := source.find("$", done)) >= 0:
            if dollar > done:
                add(source[done:dollar], done)
            if source.startswith("${", dollar):
                end = source.find("}", dollar)
                body = source[dollar + 2 : end] if end >= 0 else None
                try:
                    # The loop does not go on after a fault, so the position is always that of this reference.
                    value = self._value(body, lambda at=dollar: _position(source, at, references))  # type: ignore[misc]
                except DecodeError as exc:
                    exc.line, exc.column = _line_and_column(source, dollar)
                    raise
                add(value, dollar, is_reference=True)
                done = end + 1
                references.append((dollar, done))
            else:
                add("$", dollar)
                done = dollar + (2 if source.startswith("$$", dollar) else 1)
        add(source[done:], done)
        return "".join(parts), pieces

    def _value(self, body: str | None, where: Callable[[], str]) -> str:
        if body is None:
            raise DecodeError(
                f"unterminated `${{...}}` reference (started at {where()} of scenario YAML)",
                problem="unterminated `${...}` reference",
                hint="a reference ends with a brace: ${NAME} or ${NAME:-default}; $$ is a dollar sign",
            )
        name, has_default, default = body.partition(":-")
        if not _NAME.fullmatch(name):
            raise DecodeError(
                f"invalid environment variable name {quote(clip(name))} (at {where()} of scenario YAML): "
                "names must match [A-Z_][A-Z0-9_]*",
                problem=f"invalid environment variable name {quote(clip(name))}: names must match [A-Z_][A-Z0-9_]*",
                hint=_name_hint(name),
            )
        value = self._lookup(name)
        if value is None and not has_default:
            raise DecodeError(
                f"environment variable {clip(name)} is not set (referenced at {where()} of scenario YAML)",
                problem=f"environment variable {clip(name)} is not set",
                hint=f"{self._rule}a default is written ${{{clip(name)}:-value}}",
            )
        value = default if value is None else value
        self._inserted += len(value)
        if self._inserted > MAX_INSERTED_CHARS:
            raise DecodeError(f"references put in more than {MAX_INSERTED_CHARS} characters (at {where()})")
        return value

    def _lookup(self, name: str) -> str | None:
        value = None if name in NEVER_SET else self._environment.get(name)
        # Bytes that are not UTF-8 arrive from the operating system as lone surrogates.
        return None if value is None or any("\ud800" <= char <= "\udfff" for char in value) else value


def _name_hint(name: str) -> str | None:
    near = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    return f"did you mean ${{{near}}}?" if len(near) <= 60 and _NAME.fullmatch(near) else None


def _text(key: Node) -> str:
    return key.text if isinstance(key, ScalarNode) else ""


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    ends = [match.end() for match in LINE_END.finditer(text, 0, offset)]
    return len(ends) + 1, offset - (ends[-1] if ends else 0) + 1


def _offset_of_line(text: str, line: int) -> int:
    for number, match in enumerate(LINE_END.finditer(text), start=2):
        if number == line:
            return match.end()
    return 0


def _position(source: str, dollar: int, references: list[tuple[int, int]]) -> str:
    """Return `line L, column C`; a column is a character, but a byte inside an earlier reference of the line."""
    line_start = source.rfind("\n", 0, dollar) + 1
    extra = sum(
        len(source[max(start, line_start) : end].encode()) - (end - max(start, line_start))
        for start, end in references
        if end > line_start
    )
    return f"line {source.count(chr(10), 0, dollar) + 1}, column {dollar - line_start + 1 + extra}"
