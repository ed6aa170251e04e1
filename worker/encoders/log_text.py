"""Log events as pieces of lines: what their choices stand for, spelled as an encoder asks.

An encoder describes its line as parts. Here a part becomes constant text, or a slot that a choice of the event fills
from a list of texts. Where the choices of a template have few combinations, every text is rendered once and an event
is one lookup; otherwise each slot is a column.

Source: docs/scenarios.md, "Logs" and "Replays".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.plan import SEVERITIES, ReplayRows
from common.specs import LogTemplate, Template
from worker.encoders.lines import NOT_UTF8, Cells, Piece, lines
from worker.generators.log_template import pools_of

Choices = NDArray[np.int32]
Escape = Callable[[str], str]

_INFO: Final = SEVERITIES.index("info")
_MAX_COMBINATIONS: Final = 4096
_MAX_TABLE_BYTES: Final = 1024 * 1024
"""Of all templates together."""

_MAX_ROWS_BYTES: Final = 64 * 1024 * 1024
"""Where one column decides, as the row of a file does: rendering all at once is worth more there."""


@dataclass(frozen=True, slots=True)
class Severity:
    """The severity; `texts` has one spelling for each of `SEVERITIES`."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Message:
    """The message."""

    escape: Escape


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields as members of a JSON object, without its braces."""

    escape: Escape


Part = str | Severity | Message | Fields


class LogText:
    """Some parts of the lines of one entry."""

    def __init__(self, source: LogTemplate | ReplayRows, parts: Sequence[Part]) -> None:
        if isinstance(source, ReplayRows):
            self._events = [_EventText(_row_parts(source, parts), 1)]
        else:
            templates = source.templates or (Template(message=""),)
            weighted = bool(source.templates and source.severity_weights)
            self._events = [
                _EventText(_template_parts(template, parts, weighted=weighted), len(templates))
                for template in templates
            ]

    def pieces(self, first_tick: int, choices: Choices) -> Sequence[Piece]:
        """Return what stands in the lines of these events, in order."""
        templates, count = len(self._events), len(choices)
        if templates == 1 or count == 1:
            return self._events[first_tick % templates].pieces(choices)
        cells = [b""] * count
        for start in range(min(templates, count)):
            every = slice(start, None, templates)
            cells[every] = self._events[(first_tick + start) % templates].cells(choices[every])
        return [Cells(cells)]


@dataclass(frozen=True, slots=True)
class _Slot:
    """Filled with `texts[choice]`, the choice in column `column` of the events' choices."""

    column: int
    texts: Sequence[str]


def _template_parts(template: Template, parts: Sequence[Part], *, weighted: bool) -> Iterator[str | _Slot]:
    pools = {name: (column, values or ("",)) for column, (name, values) in enumerate(pools_of(template), start=1)}
    for part in parts:
        match part:
            case str():
                yield part
            case Severity(texts):
                yield _Slot(0, texts) if weighted else texts[_INFO]
            case Message(escape):
                yield from _message(template.message, pools, escape)
            case Fields(escape):
                for place, (name, (column, values)) in enumerate(pools.items()):
                    yield f'{"," if place else ""}"{escape(name)}":"'
                    yield _Slot(column, [escape(value) for value in values])
                    yield '"'


def _message(text: str, pools: dict[str, tuple[int, tuple[str, ...]]], escape: Escape) -> Iterator[str | _Slot]:
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


def _row_parts(rows: ReplayRows, parts: Sequence[Part]) -> Iterator[str | _Slot]:
    for part in parts:
        match part:
            case str():
                yield part
            case Severity(texts):
                yield _Slot(0, [texts[severity] for severity in rows.severities])
            case Message(escape):
                yield _Slot(0, [escape(message) for message in rows.messages])
            case Fields(escape):
                yield _Slot(0, list(_members(rows, escape)))


def _members(rows: ReplayRows, escape: Escape) -> Iterator[str]:
    columns = sorted(rows.fields.items())
    keys = [f'"{escape(name)}":"' for name, _ in columns]
    for row in range(len(rows.messages)):
        cells = [(key, values[row]) for key, (_, values) in zip(keys, columns, strict=True)]
        yield ",".join(f'{key}{escape(value)}"' for key, value in cells if value is not None)


class _Column:
    """A slot with its texts as bytes."""

    def __init__(self, slot: _Slot) -> None:
        self.column = slot.column
        self.texts = [text.encode() for text in slot.texts]
        self.longest = max(map(len, self.texts))
        self._array = np.array(self.texts, dtype=object)

    def cells(self, choices: Choices) -> list[bytes]:
        cells: list[bytes] = self._array[choices[:, self.column]].tolist()
        return cells


class _EventText:
    """The parts of one of `templates` templates, or of the rows of a file."""

    def __init__(self, parts: Iterator[str | _Slot], templates: int) -> None:
        self._pieces = list(_merged(parts))
        slots = [piece for piece in self._pieces if isinstance(piece, _Column)]
        sizes = {slot.column: len(slot.texts) for slot in slots}
        self._columns = tuple(sizes)
        self._sizes = tuple(sizes.values())
        longest = sum(len(piece) if isinstance(piece, bytes) else piece.longest for piece in self._pieces)
        texts = prod(self._sizes) * templates
        few = texts <= _MAX_COMBINATIONS and texts * longest <= _MAX_TABLE_BYTES
        rows = len(sizes) == 1 and texts * longest <= _MAX_ROWS_BYTES
        self._table = np.array(list(self._texts()), dtype=object) if few or rows or not sizes else None

    def _texts(self) -> Iterator[bytes]:
        for combination in product(*map(range, self._sizes)):
            choices = dict(zip(self._columns, combination, strict=True))
            yield b"".join(
                piece if isinstance(piece, bytes) else piece.texts[choices[piece.column]] for piece in self._pieces
            )

    def pieces(self, choices: Choices) -> Sequence[Piece]:
        """Return what stands in the lines of these events, in order."""
        if self._table is None:
            return [piece if isinstance(piece, bytes) else Cells(piece.cells(choices)) for piece in self._pieces]
        if not self._columns:
            return [self._table[0]]
        places = self._places(choices)
        return [self._table[places[0]] if len(choices) == 1 else Cells(self._table[places].tolist())]

    def cells(self, choices: Choices) -> list[bytes]:
        """Return the text of each of these events."""
        count = len(choices)
        cells: list[bytes]
        if self._table is None:
            cells = lines(count, *self.pieces(choices), NOT_UTF8).split(NOT_UTF8)
            cells.pop()
            return cells
        if not self._columns:
            return [self._table[0]] * count
        cells = self._table[self._places(choices)].tolist()
        return cells

    def _places(self, choices: Choices) -> NDArray[np.intp]:
        return np.ravel_multi_index(tuple(choices[:, column] for column in self._columns), self._sizes)


def _merged(parts: Iterator[str | _Slot]) -> Iterator[bytes | _Column]:
    constant = ""
    for part in parts:
        if isinstance(part, str):
            constant += part
        elif len(part.texts) == 1:
            constant += part.texts[0]
        else:
            yield constant.encode()
            yield _Column(part)
            constant = ""
    yield constant.encode()
