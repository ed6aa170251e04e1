"""YAML 1.2 text to nodes, over the event stream of libyaml.

PyYAML's constructors are not used: they apply YAML 1.1 (`on` is a boolean, `017` is 15, dates become objects, the last
of two equal keys wins). Depth is counted on the events, before anything is composed: the C composer recurses on the
native stack and dies of 200 000 open brackets. Source: docs/scenarios.md, "YAML and JSON".
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import yaml

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.messages import did_you_mean
from supervisor.reading.nodes import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    TOO_MANY_CONTAINERS,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
)

MAX_FOLLOWED_PER_EVENT: Final = 100
"""Aliases followed while expanding a document, per event in it; more is an attack, not a scenario."""

LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for libyaml."""

MAX_COPIED_NODES: Final = 1_000_000
"""Nodes that aliases add to a document: two seconds of decoding and 100 MB at the most."""

_CORE: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null"))


def read_yaml(text: str) -> Node:
    """Return the one document of `text`; an empty text is null.

    Raises:
        DecodeError: syntax, nesting deeper than `MAX_DEPTH`, a second document, a foreign tag, an alias that is
            undefined, stands inside its own node or expands without measure.
    """
    try:
        return _Composer(text).document()
    except yaml.MarkedYAMLError as exc:
        reason = " ".join(part for part in (exc.problem, exc.context) if part)
        # libyaml scans ahead of its events, and since PyYAML 6.0.4 it may meet a bound of its own first.
        if "maximum nesting depth" in reason:
            reason = _TOO_DEEP
        mark = exc.problem_mark or exc.context_mark
        if mark is None:
            raise DecodeError(reason) from exc
        raise _fault(reason, mark.line + 1, mark.column + 1, _hint(text, mark.line)) from exc
    except yaml.YAMLError as exc:
        raise DecodeError(" ".join(str(exc).split())) from exc


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"


class _Built(NamedTuple):
    """A node and what it costs once aliases are replaced by their targets: nodes in it, aliases followed."""

    node: Node
    size: int
    followed: int


class _Composer:
    """Builds the tree of one document; `None` in `_anchors` marks a container that is still open."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._event_count = 0
        self._node_count = 0
        self._container_count = 0
        self._depth = 0
        self._anchors: dict[str, _Built | None] = {}

    def document(self) -> Node:
        self._next()
        if not isinstance(self._next(), yaml.DocumentStartEvent):
            return ScalarNode("", plain=True)
        built = self._node(self._next())
        self._next()
        if isinstance(self._next(), yaml.DocumentStartEvent):
            raise DecodeError("more than one document; expected a single one")
        copied = built.size - self._node_count
        if copied > MAX_COPIED_NODES or built.followed > MAX_FOLLOWED_PER_EVENT * self._event_count:
            raise DecodeError("repetition limit exceeded")
        return built.node

    def _next(self) -> Any:
        # Events are duck-typed here: the stubs make every mark and anchor optional, libyaml always gives them.
        self._event_count += 1
        return next(self._events)

    def _node(self, event: Any) -> _Built:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if isinstance(event, yaml.AliasEvent):
            return self._follow(str(event.anchor), line, column)
        self._node_count += 1
        if isinstance(event, yaml.ScalarEvent):
            built = _Built(_scalar(event, line, column), 1, 0)
        else:
            built = self._container(event, line, column)
        if event.anchor:
            self._anchors[event.anchor] = built
        return built

    def _follow(self, name: str, line: int, column: int) -> _Built:
        if name not in self._anchors:
            hint = did_you_mean(name, self._anchors) or "a text that begins with * is put in quotes"
            raise _fault(f"undefined alias {quote(clip(name))}", line, column, hint)
        target = self._anchors[name]
        if target is None:
            raise _fault(f"alias {quote(clip(name))} stands inside the node it names", line, column)
        return target._replace(followed=target.followed + 1)

    def _container(self, event: Any, line: int, column: int) -> _Built:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _fault(_TOO_DEEP, line, column)
        self._container_count += 1
        if self._container_count > MAX_CONTAINERS:
            raise _fault(TOO_MANY_CONTAINERS, line, column)
        if event.anchor:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        expected_tag = _CORE + ("map" if is_mapping else "seq")
        if event.tag not in (None, expected_tag):
            raise _foreign_tag(event.tag, line, column)
        children: list[_Built] = []
        while not isinstance(following := self._next(), yaml.CollectionEndEvent):
            children.append(self._node(following))
        self._depth -= 1
        nodes = [child.node for child in children]
        node = (
            MappingNode(list(zip(nodes[::2], nodes[1::2], strict=True)), line, column)
            if is_mapping
            else SequenceNode(nodes, line, column)
        )
        return _Built(node, 1 + sum(child.size for child in children), sum(child.followed for child in children))


def _scalar(event: yaml.ScalarEvent, line: int, column: int) -> ScalarNode:
    if event.tag is None:
        return ScalarNode(event.value, not event.style, line, column)
    if event.tag not in _SCALAR_TAGS:
        raise _foreign_tag(event.tag, line, column)
    return ScalarNode(event.value, event.tag != _CORE + "str", line, column)


def _foreign_tag(tag: str, line: int, column: int) -> DecodeError:
    hint = "a text that begins with ! is put in quotes"
    return _fault(f"unsupported tag {quote(clip(tag))}", line, column, hint, ": expected a tag of the core schema")


def _fault(problem: str, line: int, column: int, hint: str | None = None, rest: str = "") -> DecodeError:
    message = f"{problem} at line {line} column {column}{rest}"
    return DecodeError(message, problem=problem + rest, line=line, column=column, hint=hint)


_KEY_END: Final = re.compile(r"(?<=\w):(?: |$)")
_START: Final = re.compile(r" *((?:- +)?)[^\s#]")
_NEAR_CHARS: Final = 1000
"""Of each line beside a fault so much is looked at: the time that a search takes grows with the square of it."""


def _hint(text: str, line: int) -> str | None:
    """Return what is usually behind a text that is no YAML; `line` counts from 0."""
    lines = LINE_END.split(text)
    near = "\n".join(one[:_NEAR_CHARS] for one in lines[max(line - 1, 0) : line + 1])
    if re.search(r"^ *\t", near, re.MULTILINE):
        return "a tab; YAML indents with blanks"
    if len(lines) == 1 and len(_KEY_END.findall(text)) > 1 and not text.lstrip().startswith("{"):
        return "the text has no line breaks; `curl -d` strips them, use --data-binary"
    if re.search(r":\s+[%@`]", near):
        return "a text that begins with %, @ or ` is put in quotes"
    if re.search(r":[ \t]+[^\"'\s{\[#][^#\n]*: ", near):
        return "a text that contains a colon and a blank is put in quotes"
    if _begins_askew(lines[: line + 1]):
        return "the line is indented as no line above it is"
    return None


def _begins_askew(lines: Sequence[str]) -> bool:
    """Return whether the last line goes back to a column in which nothing begins; a dash begins two."""
    starts = [match.span(1) for one in lines if (match := _START.match(one)) is not None]
    if len(starts) < 2:
        return False
    *above, (column, _) = starts
    return column < above[-1][1] and all(column not in span for span in above)
