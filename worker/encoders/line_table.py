"""Lines of several number columns as a table of bytes, which every line fills to its last place.

::

    text    value of fill  text       value of fill  text
    a{} ____1.5 1731…      b{} _12 …  a{} ____0.25   …

The texts between the numbers stand in all lines before the numbers are written, each column of them in one go. Columns
of numbers that have different lengths are filled up, and the filling is taken out at the end.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FILLING: Final = b"\xfe"
"""No UTF-8 text has this byte."""


def tabled(count: int, heads: Sequence[bytes], columns: Sequence[bytes], tail: bytes) -> bytes:
    """Return `count` lines, each a head and a number for every column, and the tail.

    Args:
        count: how many lines.
        heads: what precedes the number of each column; UTF-8, or NOT_UTF8.
        columns: the numbers of each, separated by commas.
        tail: what follows the last number.
    """
    known = {column: _cells(column, count) for column in dict.fromkeys(columns)}
    cells = [known[column] for column in columns]
    line, offsets = b"", []
    for head, column_cells in zip(heads, cells, strict=True):
        line += head
        offsets.append(len(line))
        line += _FILLING * column_cells.itemsize
    line += tail
    names = [str(offset) for offset in offsets]
    formats = [column_cells.dtype for column_cells in cells]
    table = np.full(count, line, dtype=f"S{len(line)}").view(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": len(line)}
    )
    for name, column_cells in zip(names, cells, strict=True):
        table[name] = column_cells
    return table.tobytes().replace(_FILLING, b"")


def _cells(column: bytes, count: int) -> NDArray[Any]:
    """Return the numbers of a column as texts of one length, those that are shorter filled up."""
    text = column + b","
    width = text.index(b",")
    if len(text) == count * (width + 1):
        cells = np.frombuffer(text, dtype=[("number", f"S{width}"), ("end", np.uint8)])
        if (cells["end"] == ord(",")).all():
            numbers: NDArray[Any] = cells["number"]
            return numbers
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(","))
    lengths = np.diff(ends, prepend=-1) - 1
    width = int(lengths.max())
    windows = np.ndarray(len(text), dtype=f"S{width}", buffer=text + bytes(width), strides=(1,))
    filled: NDArray[Any] = windows[ends - lengths]
    places = filled.view(np.uint8).reshape(count, width)
    for place in range(int(lengths.min()), width):
        places[lengths <= place, place] = ord(_FILLING)
    return filled
