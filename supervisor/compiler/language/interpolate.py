"""`${NAME}` and `${NAME:-default}`, in one pass over the raw text, comments and keys included.

Source: docs/scenarios.md, "Environment".
"""

import re
from collections.abc import Callable
from collections.abc import Mapping as Variables
from typing import Final

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import Mapping, Node, Scalar, Sequence

MAX_INSERTED_CHARS: Final = 16 * 1024 * 1024
"""What all references of one body may put in: a short body can name a long variable many times."""

NEVER_SET: Final = frozenset({"SONDA_API_KEY"})
"""Variables that a scenario may not read: it could send them anywhere."""

_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


class Interpolation:
    """The references of one body, read against one environment."""

    def __init__(self, environment: Variables[str, str]) -> None:
        self._environment = environment
        self._inserted = 0

    def text(self, source: str) -> str:
        """Return `source` with every reference replaced; `$$` is a `$`, and what was put in is not read again.

        Raises:
            DecodeError: a variable without value and default, a bad name, no closing brace, or a bound exceeded.
        """
        return self._replace(source)[0]

    def node(self, node: Node) -> Node:
        """Return `node` with its texts interpolated; a text in which something was put in is plain afterwards.

        Meant for JSON, where a reference can only stand in a string: `"${RATE:-5}"` is the number 5.

        Raises:
            DecodeError: as `text`.
        """
        match node:
            case Scalar(text=source):
                text, substituted = self._replace(source)
                return Scalar(text, node.plain or substituted)
            case Sequence(items=items):
                return Sequence([self.node(item) for item in items])
            case Mapping(items=pairs):
                return Mapping([(self.node(key), self.node(value)) for key, value in pairs])

    def _replace(self, source: str) -> tuple[str, bool]:
        parts: list[str] = []
        references: list[tuple[int, int]] = []
        done = 0
        while (dollar := source.find("$", done)) >= 0:
            parts.append(source[done:dollar])
            if source.startswith("${", dollar):
                end = source.find("}", dollar)
                body = source[dollar + 2 : end] if end >= 0 else None
                # The loop does not go on after a fault, so the position is always that of this reference.
                parts.append(self._value(body, lambda at=dollar: _position(source, at, references)))  # type: ignore[misc]
                done = end + 1
                references.append((dollar, done))
            else:
                parts.append("$")
                done = dollar + (2 if source.startswith("$$", dollar) else 1)
        parts.append(source[done:])
        return "".join(parts), bool(references)

    def _value(self, body: str | None, where: Callable[[], str]) -> str:
        if body is None:
            raise DecodeError(f"unterminated `${{...}}` reference (started at {where()} of scenario YAML)")
        name, has_default, default = body.partition(":-")
        if not _NAME.fullmatch(name):
            raise DecodeError(
                f"invalid environment variable name {quote(clip(name))} (at {where()} of scenario YAML): "
                "names must match [A-Z_][A-Z0-9_]*"
            )
        value = self._lookup(name)
        if value is None and not has_default:
            raise DecodeError(
                f"environment variable {clip(name)} is not set (referenced at {where()} of scenario YAML)"
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


def _position(source: str, dollar: int, references: list[tuple[int, int]]) -> str:
    """Return `line L, column C`; a column is a character, but a byte inside an earlier reference of the line."""
    line_start = source.rfind("\n", 0, dollar) + 1
    extra = sum(
        len(source[max(start, line_start) : end].encode()) - (end - max(start, line_start))
        for start, end in references
        if end > line_start
    )
    return f"line {source.count(chr(10), 0, dollar) + 1}, column {dollar - line_start + 1 + extra}"
