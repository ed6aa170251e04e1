"""The gate cell of a row of the board: the newest value of an entry, for the workers of those that watch it.

The entry's own worker writes, others map the row's first page read-only. Eight-byte stores are seen whole, and an older
value is never taken for a newer one: the bell that announces a value rings after it was written.
"""

import mmap
from typing import Final

from common.board import GATE_CELL_OFFSET, PAGE_BYTES, ROW_BYTES

_FIRST: Final = GATE_CELL_OFFSET // 8
_VALUE: Final = _FIRST + 1


class GateCell:
    """When the first value was published, and the newest one.

    Args:
        descriptor: the board's memory file.
        row_index: the entry's row.
        writable: for the row's own worker alone.
    """

    __slots__ = ("_instants", "_values")

    def __init__(self, descriptor: int, row_index: int, *, writable: bool = False) -> None:
        protection = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        page = memoryview(mmap.mmap(descriptor, PAGE_BYTES, prot=protection, offset=PAGE_BYTES + row_index * ROW_BYTES))
        self._instants = page.cast("Q")
        self._values = page.cast("d")

    def publish(self, value: float, now_ns: int) -> None:
        """Show `value` at `now_ns` (monotonic, not 0); it is there when the call returns."""
        self._values[_VALUE] = value
        if not self._instants[_FIRST]:
            self._instants[_FIRST] = now_ns

    def newest(self) -> float | None:
        """Return the newest value, None before the first."""
        return self._values[_VALUE] if self._instants[_FIRST] else None

    def first_ns(self) -> int:
        """Return when the first value was published, 0 before."""
        return self._instants[_FIRST]
