"""YAML 1.2 text to nodes, over the event stream of libyaml.

PyYAML's constructors are not used: they apply YAML 1.1 (`on` is a boolean, `017` is 15, dates become objects, the last
of two equal keys wins). Depth is counted on the events, before anything is composed: the C composer recurses on the
native stack and dies of 200 000 open brackets. Source: docs/scenarios.md, "YAML and JSON".
"""

from typing import Any, Final, NamedTuple

import yaml

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import MAX_DEPTH, Mapping, Node, Scalar, Sequence

MAX_FOLLOWED_PER_EVENT: Final = 100
"""Aliases followed while expanding a document, per event in it; more is an attack, not a scenario."""

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
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise DecodeError(f"{reason}{where}") from exc
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
        self._depth = 0
        self._anchors: dict[str, _Built | None] = {}

    def document(self) -> Node:
        self._next()
        if not isinstance(self._next(), yaml.DocumentStartEvent):
            return Scalar("", plain=True)
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
        where = f"at line {line} column {column}"
        if name not in self._anchors:
            raise DecodeError(f"undefined alias {quote(clip(name))} {where}")
        target = self._anchors[name]
        if target is None:
            raise DecodeError(f"alias {quote(clip(name))} stands inside the node it names {where}")
        return target._replace(followed=target.followed + 1)

    def _container(self, event: Any, line: int, column: int) -> _Built:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DecodeError(f"{_TOO_DEEP} at line {line} column {column}")
        if event.anchor:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        expected_tag = _CORE + ("map" if is_mapping else "seq")
        if event.tag not in (None, expected_tag):
            raise DecodeError(_tag_text(event.tag, line, column))
        children: list[_Built] = []
        while not isinstance(following := self._next(), yaml.CollectionEndEvent):
            children.append(self._node(following))
        self._depth -= 1
        nodes = [child.node for child in children]
        node = (
            Mapping(list(zip(nodes[::2], nodes[1::2], strict=True)), line, column)
            if is_mapping
            else Sequence(nodes, line, column)
        )
        return _Built(node, 1 + sum(child.size for child in children), sum(child.followed for child in children))


def _scalar(event: yaml.ScalarEvent, line: int, column: int) -> Scalar:
    if event.tag is None:
        return Scalar(event.value, not event.style, line, column)
    if event.tag not in _SCALAR_TAGS:
        raise DecodeError(_tag_text(event.tag, line, column))
    return Scalar(event.value, event.tag != _CORE + "str", line, column)


def _tag_text(tag: str, line: int, column: int) -> str:
    return f"unsupported tag {quote(clip(tag))} at line {line} column {column}: expected a tag of the core schema"
