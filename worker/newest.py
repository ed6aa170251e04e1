"""The newest samples of a run, and the newest value of each series, on its row of the board.

Source: docs/http.md, "Scrape one" and "Scrape all".
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.board import RECENT_SAMPLES, SAMPLE_BYTES, Row
from common.current import CurrentValues
from common.plan import EntryPlan
from worker.ticks.block import DueEvents, TickBlock


class NewestSamples:
    """Shows samples as they count, some of them not before the next `write`.

    Args:
        plan: the entry; one of logs has none.
        row: its row of the board.
    """

    def __init__(self, plan: EntryPlan, row: Row) -> None:
        self._row = row
        self._current = None if plan.signal_type == "logs" else CurrentValues(row.view, plan)
        self._replaced: tuple[int, NDArray[np.int64], NDArray[Any], int] | None = None
        self._block: TickBlock | None = None
        self._start = self._stop = 0

    def put(self, events: DueEvents, first: int, stop: int) -> None:
        """Take the samples of some events; those of a large batch, and those cut from a block, wait for `write`."""
        if self._current is None:
            return
        block = events.block
        if block is not None:
            # PERF: what was cut off one after the other is shown as one; see `showing.py`.
            start = events.start + first
            if block is not self._block or start != self._stop:
                self.write()
                self._block, self._start = block, start
            self._stop = events.start + stop
            return
        batch, row = events.batch, self._row
        tick, values, stamps_ns = batch.first_tick + first, batch.values, batch.stamps_ns
        if stop - first < len(batch):
            values, stamps_ns = values[first:stop], stamps_ns[first:stop]
        if self._block is not None:
            self.write()
        self._current.put(tick, values, batch.spike_mask)
        if values.size >= RECENT_SAMPLES:
            # PERF: it replaces all that was there, and the next one, some µs later, will replace all of it.
            if self._replaced is not None:
                row.skip(self._replaced[2].size)
            self._replaced = (tick, stamps_ns, values, batch.spike_mask)
            return
        self.write()
        row.append_samples(tick, stamps_ns, values, batch.spike_mask)

    def forget(self) -> None:
        """Show no value until the next one of each series."""
        self.write()
        if self._current is not None:
            self._current.clear()

    def write(self) -> None:
        """Show what was held back; the arrays of the batches must be as they were."""
        if self._replaced is not None:
            self._row.append_samples(*self._replaced)
            self._replaced = None
        if self._block is not None:
            self._write_part(self._block, self._start, self._stop)
            self._block = None

    def _write_part(self, block: TickBlock, start: int, stop: int) -> None:
        assert self._current is not None  # noqa: S101 - there are samples
        assert block.samples is not None  # noqa: S101 - of numbers
        batch = block.batch.part(start, stop)
        self._current.put(batch.first_tick, batch.values, batch.spike_mask)
        self._row.append_records(block.samples[start * SAMPLE_BYTES : stop * SAMPLE_BYTES], len(batch))
