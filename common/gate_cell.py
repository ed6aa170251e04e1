"""The gate cell of a row of the board: the newest value of an entry, for the workers of those that watch it.

The entry's own worker writes, others map the row's first page read-only. Eight-byte stores are seen whole, and an older
value is never taken for a newer one: the bell that announces a value rings after it was written.
"""

import mmap
from typing import Final

from common.board import GATE_CELL_OFFSET, PAGE_BYTES, ROW_BYTES

_PUBLISHED: Final = GATE_CELL_OFFSET // 8
_VALUE: Final = _PUBLISHED + 1


class GateCell:
    """Whether a value was published, and the newest one.

    Args:
        descriptor: the board's memory file.
        row_index: the entry's row.
        writable: for the row's own worker alone.
    """

    __slots__ = ("_flags", "_values")

    def __init__(self, descriptor: int, row_index: int, *, writable: bool = False) -> None:
        protection = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        page = memoryview(mmap.mmap(descriptor, PAGE_BYTES, prot=protection, offset=PAGE_BYTES + row_index * ROW_BYTES))
        self._flags = page.cast("Q")
        self._values = page.cast("d")

    def publish(self, value: float) -> None:
        """Show `value`; it is there when the call returns."""
        self._values[_VALUE] = value
        self._flags[_PUBLISHED] = 1

    def newest(self) -> float | None:
        """Return the newest value, None before the first."""
        return self._values[_VALUE] if self._flags[_PUBLISHED] else None
