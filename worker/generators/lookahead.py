"""Values computed ahead, so that a scenario of single ticks pays for a column only now and then."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from worker.generators import Generator

_BLOCK_TICKS = 256


class LookaheadGenerator:
    """The values of `inner`, small runs of ticks cut from a block.

    PERF: a call for one tick costs 5 to 20 µs in numpy's call overhead, and for a thousand hardly more.
    """

    def __init__(self, inner: "Generator") -> None:
        self._inner = inner
        self._first_tick = 0
        self._block = inner.values(0, _BLOCK_TICKS)
        self._block.setflags(write=False)

    def values(self, first_tick: int, count: int) -> NDArray[Any]:
        """Return what `inner` does, possibly read-only."""
        start = first_tick - self._first_tick
        if 0 <= start <= _BLOCK_TICKS - count:
            return self._block[start : start + count]
        if count >= _BLOCK_TICKS:
            return self._inner.values(first_tick, count)
        self._first_tick = first_tick
        self._block = self._inner.values(first_tick, _BLOCK_TICKS)
        self._block.setflags(write=False)
        return self._block[:count]
