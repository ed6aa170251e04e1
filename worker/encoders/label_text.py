"""The labels of a run of ticks as one piece of its lines, spelled as an encoder asks.

Three forms, chosen once per set of active spikes: nothing rotates, then it is constant text; the rotations repeat
together after few ticks, then every text is rendered once and a run is a slice of that table; otherwise the rotating
values of a run are rendered as columns and joined. Memory is bounded whatever the cardinality.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from math import lcm
from typing import Final

import msgspec
import numpy as np

from common.labels import LabelSpace, Rotation
from common.mixing import mix
from common.plan import EntryPlan
from worker.encoders.lines import NOT_UTF8, Cells, Joined, LinePiece, lines
from worker.ticks.batch import BATCH_EVENTS

_MAX_TABLE_TICKS: Final = 4096
_MAX_TABLE_BYTES: Final = 1024 * 1024
_MAX_SPIKE_SETS: Final = 16
"""Sets of active spikes whose texts are kept at a time."""


@dataclass(frozen=True, slots=True)
class LabelSyntax:
    """How an encoder writes a label set.

    Attributes:
        opening, closing: around the labels.
        empty: the whole text when there are no labels.
        between: between two labels.
        key: a key to what precedes its value, quote included.
        after_value: what follows a value, quote included.
        escape: a value to its spelling, character by character.
    """

    opening: str
    closing: str
    empty: str
    between: str
    key: Callable[[str], str]
    after_value: str
    escape: Callable[[str], str]


class LabelText:
    """Label pieces of one entry under one syntax."""

    def __init__(self, space: LabelSpace, syntax: LabelSyntax) -> None:
        self._space = space
        self._syntax = syntax
        self._texts: dict[int, _Rotating | bytes] = {}

    def piece(self, first_tick: int, count: int, spike_mask: int) -> LinePiece:
        """Return the label text of `count` ticks with these spikes active: bytes when all have the same."""
        text = self._text(spike_mask)
        return text if isinstance(text, bytes) else text(first_tick, count)

    def constant(self, spike_mask: int) -> bytes | None:
        """Return the label text of every tick with these spikes active, or None when it rotates."""
        text = self._text(spike_mask)
        return text if isinstance(text, bytes) else None

    def _text(self, spike_mask: int) -> "_Rotating | bytes":
        text = self._texts.get(spike_mask)
        if text is None:
            if len(self._texts) >= _MAX_SPIKE_SETS:
                self._texts.clear()
            text = self._texts[spike_mask] = _text(self._space, self._syntax, spike_mask)
        return text


def may_hold_line_feed(plan: EntryPlan) -> bool:
    """Whether a label value of `plan` can contain one."""
    texts = [*plan.labels.values(), *(spike.prefix for spike in plan.cardinality_spikes)]
    for label in plan.dynamic_labels:
        texts += [label.prefix, *(label.values or ())]
    return any("\n" in text for text in texts)


_Rotating = Callable[[int, int], LinePiece]
"""First tick and count of a run to its texts: bytes for a run of one."""


def _text(space: LabelSpace, syntax: LabelSyntax, spike_mask: int) -> _Rotating | bytes:
    pieces = list(_pieces(space, syntax, spike_mask))
    rotating = [piece for piece in pieces if not isinstance(piece, bytes)]
    if not rotating:
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))
    rendered = _Rendered(pieces)
    period = lcm(*(piece.cardinality for piece in rotating))
    longest = sum(len(piece) if isinstance(piece, bytes) else piece.longest for piece in pieces)
    if period * longest > _MAX_TABLE_BYTES or period > _MAX_TABLE_TICKS:
        return rendered
    return _Table([rendered.cell(tick) for tick in range(period)])


def _pieces(space: LabelSpace, syntax: LabelSyntax, spike_mask: int) -> "Iterator[_Piece]":
    """Yield the label set as constant texts, merged, and rotating ones."""
    layout = space.layout(spike_mask)
    if not layout:
        yield syntax.empty.encode()
        return
    constant = syntax.opening
    for place, (key, value) in enumerate(layout):
        constant += (syntax.between if place else "") + syntax.key(key)
        if isinstance(value, str):
            constant += syntax.escape(value)
        elif value.cardinality <= _MAX_TABLE_TICKS or (value.values and value.cardinality == value.choices):
            yield constant.encode()
            yield _Table([syntax.escape(value.value(number)).encode() for number in range(value.cardinality)])
            constant = ""
        elif value.values is not None:
            yield constant.encode()
            yield _Listed(value, [syntax.escape(text).encode() for text in value.values])
            constant = ""
        else:
            yield (constant + syntax.escape(value.prefix)).encode()
            yield _Computed(value)
            constant = ""
        constant += syntax.after_value
    yield (constant + syntax.closing).encode()


class _Table:
    """Texts that repeat every `cardinality` ticks, continued by one batch so that every run is one slice."""

    def __init__(self, texts: list[bytes]) -> None:
        self.cardinality = len(texts)
        self.longest = max(map(len, texts))
        self._texts = [*texts, *islice(cycle(texts), BATCH_EVENTS)]

    def __call__(self, first_tick: int, count: int) -> LinePiece:
        start = first_tick % self.cardinality
        return self._texts[start] if count == 1 else Cells(self._texts[start : start + count])


class _Listed:
    """Listed texts, in an order too long for a table."""

    def __init__(self, rotation: Rotation, texts: list[bytes]) -> None:
        self.cardinality = rotation.cardinality
        self.longest = max(map(len, texts))
        self._rotation = rotation
        self._texts = texts

    def __call__(self, first_tick: int, count: int) -> LinePiece:
        cells = [self._texts[index] for index in self._rotation.indexes(first_tick, count)]
        return cells[0] if count == 1 else Cells(cells)


class _Computed:
    """The part behind the prefix of a rotation that is too long for a table: a decimal, or 16 hex digits."""

    longest: Final = 20

    def __init__(self, rotation: Rotation) -> None:
        self.cardinality = rotation.cardinality
        self._rotation = rotation
        self._seed = None if rotation.random_seed is None else np.uint64(rotation.random_seed)

    def __call__(self, first_tick: int, count: int) -> LinePiece:
        indexes = self._rotation.indexes(first_tick, count)
        if self._seed is None:
            decimals = msgspec.json.encode(indexes)[1:-1]
            return decimals if count == 1 else Joined(decimals)
        hashes = mix(np.array(indexes, dtype=np.uint64) ^ self._seed)
        digits = hashes.astype(">u8").tobytes().hex().encode()
        return digits if count == 1 else Cells([digits[at : at + 16] for at in range(0, 16 * count, 16)])


_Piece = bytes | _Table | _Listed | _Computed


class _Rendered:
    """Whole label sets, joined from their pieces again for every run."""

    def __init__(self, pieces: "list[_Piece]") -> None:
        self._pieces = pieces

    def cell(self, tick: int) -> bytes:
        """Return the text of one tick."""
        return lines(1, *(piece if isinstance(piece, bytes) else piece(tick, 1) for piece in self._pieces))

    def __call__(self, first_tick: int, count: int) -> LinePiece:
        if count == 1:
            return self.cell(first_tick)
        pieces = (piece if isinstance(piece, bytes) else piece(first_tick, count) for piece in self._pieces)
        cells = lines(count, *pieces, NOT_UTF8).split(NOT_UTF8)
        cells.pop()
        return Cells(cells)
