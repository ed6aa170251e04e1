"""Log events as pieces of records: what their choices stand for, spelled as an encoder asks.

An encoder describes its line or message as parts. Here a part becomes constant text, or a slot that a choice of the
event fills from a list of texts. Where the choices of a template have few combinations, every text is rendered once and
an event is one lookup; otherwise each slot is a column.

Source: docs/scenarios.md, "Logs" and "Replays".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product, repeat
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.own_ticks import OwnTicks
from common.plan import SEVERITIES, ReplayRows
from common.specs import LogTemplate, Template
from worker.encoders.lines import NOT_UTF8, Cells, LinePiece, lines
from worker.generators.log_template import pools_of

Choices = NDArray[np.int32]
Escape = Callable[[str], bytes]

_INFO: Final = SEVERITIES.index("info")
_MAX_COMBINATIONS: Final = 4096
_MAX_TABLE_BYTES: Final = 1024 * 1024
"""Of all templates together."""

_MAX_ROWS_BYTES: Final = 64 * 1024 * 1024
"""Where one column decides, as the row of a file does: rendering all at once is worth more there."""


@dataclass(frozen=True, slots=True)
class Severity:
    """The severity; `texts` has one spelling for each of `SEVERITIES`."""

    texts: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class LogMessage:
    """The message."""

    escape: Escape


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields, each as `member` spells its name and value, with a separator between them."""

    member: Callable[[str, str], bytes]
    separator: bytes = b""


@dataclass(frozen=True, slots=True)
class Sized:
    """Parts behind what `head` says of their length in bytes."""

    head: Callable[[int], bytes]
    parts: Sequence["Part"]


Part = bytes | Severity | LogMessage | Fields | Sized


class LogText:
    """Some parts of the records of one entry."""

    def __init__(self, source: LogTemplate | ReplayRows, parts: Sequence[Part], own: OwnTicks | None = None) -> None:
        self._own = own
        if isinstance(source, ReplayRows):
            self._events = [_EventText(_row_parts(source, parts), 1)]
        else:
            templates = source.templates or (Template(message=""),)
            weighted = bool(source.templates and source.severity_weights)
            self._events = [
                _EventText(_template_parts(template, parts, weighted=weighted), len(templates))
                for template in templates
            ]

    def pieces(self, first_tick: int, choices: Choices) -> Sequence[LinePiece]:
        """Return what stands in the records of these events, in order."""
        templates = len(self._events)
        if templates == 1 or len(choices) == 1:
            tick = first_tick if self._own is None else self._own.tick(first_tick)
            return self._events[tick % templates].pieces(choices)
        return [Cells(self.cells(first_tick, choices))]

    def joined(self, first_tick: int, choices: Choices) -> tuple[bytes, NDArray[np.int64]]:
        """Return what stands in the records of these events, back to back, and how long each is."""
        if len(self._events) == 1:
            return self._events[0].joined(choices)
        cells = self.cells(first_tick, choices)
        return b"".join(cells), np.fromiter(map(len, cells), np.int64, len(cells))

    def cells(self, first_tick: int, choices: Choices) -> list[bytes]:
        """Return what stands in the record of each of these events."""
        templates, count = len(self._events), len(choices)
        if templates == 1:
            return self._events[0].cells(choices)
        cells = [b""] * count
        if self._own is None:
            for start in range(min(templates, count)):
                every = slice(start, None, templates)
                cells[every] = self._events[(first_tick + start) % templates].cells(choices[every])
            return cells
        chosen = self._own.ticks(first_tick, count) % templates
        for template in np.unique(chosen).tolist():
            places = np.flatnonzero(chosen == template)
            for place, text in zip(places.tolist(), self._events[template].cells(choices[places]), strict=True):
                cells[place] = text
        return cells


@dataclass(frozen=True, slots=True)
class _Slot:
    """Filled with `texts[choice]`, the choice in column `column` of the events' choices."""

    column: int
    texts: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _SizedSlots:
    """Constant texts and slots behind a head; see `Sized`."""

    head: Callable[[int], bytes]
    slots: Sequence["_Unmerged"]


_Unmerged = bytes | _Slot | _SizedSlots


def _template_parts(template: Template, parts: Sequence[Part], *, weighted: bool) -> Iterator[_Unmerged]:
    pools = {name: (column, values or ("",)) for column, (name, values) in enumerate(pools_of(template), start=1)}
    for part in parts:
        match part:
            case bytes():
                yield part
            case Severity(texts):
                yield _Slot(0, texts) if weighted else texts[_INFO]
            case LogMessage(escape):
                yield from _message(template.message, pools, escape)
            case Fields(member, separator):
                for place, (name, (column, values)) in enumerate(pools.items()):
                    if place:
                        yield separator
                    yield _Slot(column, [member(name, value) for value in values])
            case Sized(head, inner):
                yield _SizedSlots(head, list(_template_parts(template, inner, weighted=weighted)))


def _message(text: str, pools: dict[str, tuple[int, tuple[str, ...]]], escape: Escape) -> Iterator[bytes | _Slot]:
    while text:
        before, brace, text = text.partition("{")
        yield escape(before)
        name, closing, behind = text.partition("}")
        if not closing:
            yield escape(brace + text)
            return
        if name in pools:
            column, values = pools[name]
            yield _Slot(column, [escape(value) for value in values])
        else:
            yield escape(brace + name + closing)
        text = behind


def _row_parts(rows: ReplayRows, parts: Sequence[Part]) -> Iterator[_Unmerged]:
    for part in parts:
        match part:
            case bytes():
                yield part
            case Severity(texts):
                yield _Slot(0, [texts[severity] for severity in rows.severities])
            case LogMessage(escape):
                yield _Slot(0, [escape(message) for message in rows.messages])
            case Fields(member, separator):
                yield _Slot(0, [separator.join(cells) for cells in _members(rows, member)])
            case Sized(head, inner):
                yield _SizedSlots(head, list(_row_parts(rows, inner)))


def _members(rows: ReplayRows, member: Callable[[str, str], bytes]) -> Iterator[list[bytes]]:
    columns = sorted(rows.fields.items())
    for row in range(len(rows.messages)):
        yield [member(name, value) for name, values in columns if (value := values[row]) is not None]


class _Column:
    """A slot, its texts laid out to be picked by many choices at once."""

    def __init__(self, slot: _Slot) -> None:
        self.column = slot.column
        self.texts = slot.texts
        self._array = np.array(self.texts, dtype=object)
        self._lengths = np.array([len(text) for text in self.texts], dtype=np.int64)
        self.longest = int(self._lengths.max())

    def cells(self, choices: Choices) -> list[bytes]:
        cells: list[bytes] = self._array[choices[:, self.column]].tolist()
        return cells

    def lengths(self, choices: Choices) -> NDArray[np.int64]:
        return self._lengths[choices[:, self.column]]


class _SizedPieces:
    """Pieces behind a head that depends on how long they are."""

    def __init__(self, head: Callable[[int], bytes], pieces: Sequence["_Merged"]) -> None:
        self.head = head
        self.inner = pieces
        longest = sum(map(_longest, pieces))
        self.longest = len(head(longest)) + longest


_Merged = bytes | _Column | _SizedPieces


class _EventText:
    """The parts of one of `templates` templates, or of the rows of a file."""

    def __init__(self, parts: Iterator[_Unmerged], templates: int) -> None:
        self._pieces = list(_merged(parts))
        sizes = {slot.column: len(slot.texts) for slot in _columns(self._pieces)}
        self._columns = tuple(sizes)
        self._sizes = tuple(sizes.values())
        longest = sum(map(_longest, self._pieces))
        texts = prod(self._sizes) * templates
        few = texts <= _MAX_COMBINATIONS and texts * longest <= _MAX_TABLE_BYTES
        rows = len(sizes) == 1 and texts * longest <= _MAX_ROWS_BYTES
        self._table = np.array(list(self._texts()), dtype=object) if few or rows or not sizes else None
        self._table_lengths = None if self._table is None else np.array([len(text) for text in self._table], np.int64)
        self._is_text = not any(isinstance(piece, _SizedPieces) for piece in self._pieces)

    def _texts(self) -> Iterator[bytes]:
        for combination in product(*map(range, self._sizes)):
            yield _text(self._pieces, dict(zip(self._columns, combination, strict=True)))

    def pieces(self, choices: Choices) -> Sequence[LinePiece]:
        """Return what stands in the records of these events, in order."""
        if self._table is None:
            return _laid_out(self._pieces, choices)
        if not self._columns:
            return [self._table[0]]
        places = self._places(choices)
        return [self._table[places[0]] if len(choices) == 1 else Cells(self._table[places].tolist())]

    def cells(self, choices: Choices) -> list[bytes]:
        """Return the text of each of these events."""
        count = len(choices)
        cells: list[bytes]
        if self._table is None:
            pieces = self.pieces(choices)
            if not self._is_text:
                # Any byte may stand in a message.
                columns = [repeat(piece) if isinstance(piece, bytes) else piece.cells() for piece in pieces]
                return list(map(b"".join, zip(*columns, strict=False)))
            cells = lines(count, *pieces, NOT_UTF8).split(NOT_UTF8)
            cells.pop()
            return cells
        if not self._columns:
            return [self._table[0]] * count
        cells = self._table[self._places(choices)].tolist()
        return cells

    def joined(self, choices: Choices) -> tuple[bytes, NDArray[np.int64]]:
        """Return the texts of these events back to back, and how long each is."""
        count = len(choices)
        if self._table is None or self._table_lengths is None:
            pieces, lengths = _measured(self._pieces, choices)
            return lines(count, *pieces), lengths
        if not self._columns:
            return self._table[0] * count, np.full(count, len(self._table[0]))
        places = self._places(choices)
        return b"".join(self._table[places].tolist()), self._table_lengths[places]

    def _places(self, choices: Choices) -> NDArray[np.intp]:
        return np.ravel_multi_index(tuple(choices[:, column] for column in self._columns), self._sizes)


def _merged(parts: Iterator[_Unmerged]) -> Iterator[_Merged]:
    constant = b""
    for part in parts:
        found: _Merged
        match part:
            case bytes():
                found = part
            case _Slot(_, texts):
                found = texts[0] if len(texts) == 1 else _Column(part)
            case _SizedSlots(head, slots):
                pieces = list(_merged(iter(slots)))
                found = _SizedPieces(head, pieces)
                if not any(True for _ in _columns(pieces)):
                    found = _text([found], {})
        if isinstance(found, bytes):
            constant += found
        else:
            yield constant
            yield found
            constant = b""
    yield constant


def _columns(pieces: Sequence[_Merged]) -> Iterator[_Column]:
    for piece in pieces:
        if isinstance(piece, _Column):
            yield piece
        elif isinstance(piece, _SizedPieces):
            yield from _columns(piece.inner)


def _longest(piece: _Merged) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.longest


def _text(pieces: Sequence[_Merged], choices: dict[int, int]) -> bytes:
    """Return the text of one combination of choices, of column to choice."""
    texts = []
    for piece in pieces:
        if isinstance(piece, bytes):
            texts.append(piece)
        elif isinstance(piece, _Column):
            texts.append(piece.texts[choices[piece.column]])
        else:
            inner = _text(piece.inner, choices)
            texts.append(piece.head(len(inner)) + inner)
    return b"".join(texts)


def _laid_out(pieces: Sequence[_Merged], choices: Choices) -> list[LinePiece]:
    """Return constant texts and columns for these events."""
    laid: list[LinePiece] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            laid.append(piece)
        elif isinstance(piece, _Column):
            laid.append(Cells(piece.cells(choices)))
        else:
            laid += _measured([piece], choices)[0]
    return laid


def _measured(pieces: Sequence[_Merged], choices: Choices) -> tuple[list[LinePiece], NDArray[np.int64]]:
    """Return constant texts and columns for these events, and the length of each event."""
    laid: list[LinePiece] = []
    lengths = np.zeros(len(choices), np.int64)
    for piece in pieces:
        if isinstance(piece, bytes):
            laid.append(piece)
            lengths += len(piece)
        elif isinstance(piece, _Column):
            laid.append(Cells(piece.cells(choices)))
            lengths += piece.lengths(choices)
        else:
            inner, inner_lengths = _measured(piece.inner, choices)
            heads, head_lengths = _heads(piece.head, inner_lengths)
            laid += [heads, *inner]
            lengths += inner_lengths + head_lengths
    return laid, lengths


def _heads(head: Callable[[int], bytes], lengths: NDArray[np.int64]) -> tuple[LinePiece, NDArray[np.int64] | int]:
    """Return the heads of texts of these lengths, and how long they are."""
    numbers = lengths.tolist()
    known = {number: head(number) for number in set(numbers)}
    if len(known) == 1:
        return known[numbers[0]], len(known[numbers[0]])
    sizes = set(map(len, known.values()))
    heads = [known[number] for number in numbers]
    return Cells(heads), sizes.pop() if len(sizes) == 1 else np.fromiter(map(len, heads), np.int64, len(heads))
