"""Lines of a batch, assembled from pieces: bytes that are the same on every line, and columns that differ.

No step takes a Python-level loop over lines: with one column the constant rest of the line is spliced between its
cells by one `replace` or `join`; with several of numbers, their digits are written into a table of bytes; with others,
the pieces are laid out in one list with strided assignments and joined.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.numbers import NumberFormat
from worker.encoders.line_table import tabled
from worker.ticks.batch import Encoded

LINE_FEED = b"\n"
NOT_UTF8 = b"\xff"
"""Ends texts that may hold line feeds, until it is known where they end."""


_FEW: Final = 32
"""PERF: up to so many numbers, one call each costs less than the calls into numpy that a column takes."""


class Joined:
    """A column of texts separated by commas, which no text contains.

    Attributes:
        text: see above.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def cells(self) -> list[bytes]:
        """Return the texts, one per line."""
        return self.text.split(b",")

    def between(self, separator: bytes) -> bytes:
        """Return the texts with `separator` between them."""
        return self.text.replace(b",", separator)


class Cells:
    """A column of texts, one per line."""

    __slots__ = ("_cells",)

    def __init__(self, cells: list[bytes]) -> None:
        self._cells = cells

    def cells(self) -> list[bytes]:
        """Return the texts, one per line."""
        return self._cells

    def between(self, separator: bytes) -> bytes:
        """Return the texts with `separator` between them."""
        return separator.join(self._cells)


NumberColumn = Joined | Cells
LinePiece = bytes | NumberColumn


def lines(count: int, *pieces: LinePiece) -> bytes:
    """Return `count` lines, each the concatenation of the pieces; a column has `count` cells."""
    heads: list[bytes] = []
    columns: list[NumberColumn] = []
    constant = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            constant += piece
        else:
            heads.append(constant)
            columns.append(piece)
            constant = b""
    if not columns:
        return constant * count
    if len(columns) == 1:
        return b"".join((heads[0], columns[0].between(constant + heads[0]), constant))
    numbers = [column.text for column in columns if isinstance(column, Joined)]
    if len(numbers) == len(columns):
        return tabled(count, heads, numbers, constant)
    return _interleaved(count, heads, columns, constant)


def _interleaved(count: int, heads: list[bytes], columns: list[NumberColumn], tail: bytes) -> bytes:
    width = 2 * len(columns)
    table = [tail + heads[0]] * (width * count)
    for place, column in enumerate(columns):
        table[2 * place + 1 :: width] = column.cells()
        if place:
            table[2 * place :: width] = [heads[place]] * count
    table[0] = heads[0]
    table.append(tail)
    return b"".join(table)


def joined(runs: Iterable[bytes], events: int, lines_per_event: int, line_end: bytes) -> Encoded:
    """Return a batch from its runs of lines, which end with `line_end`: LINE_FEED, or NOT_UTF8 to be replaced by it."""
    payload = b"".join(runs)
    if line_end == LINE_FEED:
        return Encoded(payload, events, lines_per_event)
    ends = np.flatnonzero(np.frombuffer(payload, dtype=np.uint8) == NOT_UTF8[0]) + 1
    return Encoded(payload.replace(NOT_UTF8, LINE_FEED), events, lines_per_event, ends)


def number_piece(form: NumberFormat, values: NDArray[np.float64]) -> LinePiece:
    """Return the numbers of a run, row after row: bytes when all have the same bits, else a column."""
    numbers = values.reshape(-1)
    if len(numbers) == 1:
        return form.one(numbers.item())
    if len(numbers) <= _FEW:
        return Cells([form.one(number) for number in numbers.tolist()])
    bits = numbers.view(np.int64)
    if bits[0] == bits[-1] and (bits == bits[0]).all():
        return form.one(numbers.item(0))
    return Joined(form.column(numbers))


def number_pieces(form: NumberFormat, table: NDArray[np.float64]) -> list[LinePiece]:
    """Return the numbers of each column of a run: one piece for columns side by side that have the same bits."""
    columns = np.ascontiguousarray(table.T)
    bits = columns.view(np.int64)
    # PERF: above what was observed all buckets of a histogram count the same.
    recurring = [False, *(bits[1:] == bits[:-1]).all(axis=1).tolist()]
    pieces: list[LinePiece] = []
    for column, recurs in zip(columns, recurring, strict=True):
        pieces.append(pieces[-1] if recurs else number_piece(form, column))
    return pieces
