"""The timestamps of a replay: checked over the whole file, and the rate that their first hundred imply.

Source: docs/scenarios.md, "Replays".
"""

import math
from statistics import median

from common.errors import DecodeError
from common.units import clip, number_text, quote
from supervisor.compiler.replays.csv_text import WHITE_SPACE

_MILLISECONDS_ABOVE = 1e12
_SAMPLED_LINES = 101


class Timestamps:
    """Takes the timestamp of every data row in turn.

    Args:
        path: the file, for messages.
        column: index of the timestamp column, for messages.
        has_header: whether the first of the sampled lines was the header.
    """

    def __init__(self, path: str, column: int, *, has_header: bool) -> None:
        self._path = path
        self._column = column
        self._sampled_rows = _SAMPLED_LINES - has_header
        self._sample: list[float] = []
        self._previous = -math.inf
        self.rows = 0

    def add(self, cell: str, value: float | None) -> None:
        """Take the cell of the next row and the number in it, None where there is none.

        Raises:
            DecodeError: no finite number, or not later than the row before.
        """
        if value is None or not math.isfinite(value):
            raise DecodeError(
                f"csv_replay: failed to parse timestamp at data row {self.rows} column {self._column}: "
                f"{quote(clip(cell.strip(WHITE_SPACE)))}"
            )
        seconds = value / 1000.0 if value > _MILLISECONDS_ABOVE else value
        if not seconds > self._previous:
            raise DecodeError(
                f"csv_replay: file {quote(clip(self._path))} has non-monotonic timestamps at data row {self.rows}: "
                f"{number_text(seconds)} is not greater than the previous row's {number_text(self._previous)}.\n\n"
                "  hint: the timestamp column must strictly increase; sonda replays rows in file order and derives the "
                "rate from it"
            )
        self._previous = seconds
        if self.rows < self._sampled_rows:
            self._sample.append(seconds)
        self.rows += 1

    def interval_secs(self) -> float:
        """Return the median distance of the first rows.

        Raises:
            DecodeError: there are fewer than two rows.
        """
        if self.rows < 2:
            raise DecodeError(
                f"csv_replay: file {quote(clip(self._path))} has fewer than 2 data rows; cannot derive replay rate"
            )
        return median(later - earlier for earlier, later in zip(self._sample, self._sample[1:], strict=False))


def check_timescale(kind: str, timescale: float) -> None:
    """Raise DecodeError for a timescale that is not a positive finite number; `kind` begins the message."""
    if not 0 < timescale < math.inf:
        raise DecodeError(f"{kind}: 'timescale' must be a positive finite number, got {number_text(timescale)}")
