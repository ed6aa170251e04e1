"""Blank cells of a capture against the silences that its entry declares: each must lie in one, and nothing else may.

A row stands at its number divided by the rate, in whole nanoseconds, as in the schedule that plays it; row numbers are
computed from window edges with exact fractions. Source: docs/scenarios.md, "Replays"; docs/values.md, "Windows".
"""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from common.errors import DecodeError
from common.plan import Silence

_LISTED_ROWS = 8
_HALF = Fraction(1, 2)


class SilentRows:
    """The rows that one-shot silences cover at a rate, as ascending ranges [first, end) that do not touch."""

    def __init__(self, silences: Iterable[Silence], rate: float) -> None:
        period_ns = Fraction(1_000_000_000) / Fraction(rate)
        self._ranges: list[tuple[int, int]] = []
        for silence in sorted(silences, key=lambda silence: silence.start_ns):
            first = max(math.ceil((silence.start_ns - _HALF) / period_ns), 0)
            end = max(math.ceil((silence.end_ns - _HALF) / period_ns), 0)
            if self._ranges and first <= self._ranges[-1][1]:
                first, end = self._ranges[-1][0], max(end, self._ranges.pop()[1])
            if first < end:
                self._ranges.append((first, end))

    def mask(self, rows: int) -> NDArray[np.bool_]:
        """Return bool[rows]: which of the first rows are silent."""
        covered = np.zeros(rows, dtype=np.bool_)
        for first, end in self._ranges:
            covered[first : min(end, rows)] = True
        return covered

    def first_heard(self, first: int, last: int) -> int | None:
        """Return the smallest row of first … last that is not silent, or None."""
        for begin, end in self._ranges:
            if begin <= first < end:
                first = end
        return first if first <= last else None


def check_blanks(
    blank: NDArray[np.bool_], silent: SilentRows, *, repeat: bool, bursts: bool, held_ticks: int | None
) -> None:
    """Raise DecodeError when a column cannot be replayed as it was recorded.

    Args:
        blank: bool[rows], the absent samples.
        silent: the entry's silences.
        repeat: whether the column starts over after its last row.
        bursts: whether the entry declares bursts, which move rows away from their instants.
        held_ticks: how many ticks the entry's duration has; None when it has none.
    """
    blanks = int(np.count_nonzero(blank))
    if blanks and repeat:
        raise DecodeError(
            f"csv_replay: this capture contains {blanks} blank cell(s) and `repeat` is true. A capture containing "
            "silence cannot loop: `gap_windows:` describe one pass, so on the second cycle those rows would replay at "
            "instants no window covers and emit as NaN samples. Set `repeat: false`."
        )
    if blanks and bursts:
        raise DecodeError(
            f"csv_replay: this capture contains {blanks} blank cell(s) and the scenario declares `bursts:`. A burst "
            "emits at `rate * multiplier` inside its window, which compresses the tick grid, so row n no longer plays "
            "at n x step and the `gap_windows:` entries would fall on the wrong rows. Remove `bursts:`, or replay a "
            "capture that contains no silence."
        )
    covered = silent.mask(len(blank))
    uncovered = np.flatnonzero(blank & ~covered)
    if len(uncovered):
        raise DecodeError(
            f"csv_replay: {len(uncovered)} blank cell(s) are not covered by any `gap_windows:` entry (data row(s) "
            f"{_listed(uncovered)}). A blank cell means the sample was absent, which only reproduces as silence if the "
            "scenario declares the window — otherwise it would replay as a NaN sample, which is a present value. Add "
            "the window, or put the value back in the cell."
        )
    suppressed = np.flatnonzero(~blank & covered)
    if len(suppressed):
        raise DecodeError(
            f"csv_replay: {len(suppressed)} recorded sample(s) fall inside a `gap_windows:` entry (data row(s) "
            f"{_listed(suppressed)}). The window would suppress data the capture actually has, inventing silence that "
            "did not happen. Narrow the window, or blank the cells it covers."
        )
    if blank[-1]:
        _check_held(len(blank), silent, held_ticks)


def _check_held(rows: int, silent: SilentRows, held_ticks: int | None) -> None:
    if held_ticks is None:
        raise DecodeError(
            f"csv_replay: the capture's last row (data row {rows}) is blank and the scenario has no `duration:`. With "
            "`repeat: false` the final slot is held for every later tick, so that silence would run forever and no "
            "`gap_windows:` entry can cover it. Set a `duration:` the windows reach, or put a value in the last row."
        )
    heard = silent.first_heard(rows, held_ticks - 1)
    if heard is not None:
        raise DecodeError(
            f"csv_replay: the capture's last row (data row {rows}) is blank and the scenario outlives its data. With "
            "`repeat: false` that slot is held for every later tick, and the first such instant is tick "
            f"{heard}, which falls outside every `gap_windows:` entry, where the silence would emit as a NaN sample. "
            "Extend the window to the end of the run, shorten `duration:`, or put a value in the last row."
        )


def _listed(rows: NDArray[np.intp]) -> str:
    """Return 1-based row numbers, the first of them."""
    more = len(rows) - _LISTED_ROWS
    listed = ", ".join(str(row + 1) for row in rows[:_LISTED_ROWS].tolist())
    return f"{listed} … and {more} more" if more > 0 else listed
