"""The series of a run of ticks as one piece: a text a line, in the order in which a tick's lines come."""

from collections.abc import Sequence

from worker.encoders.label_text import LabelText
from worker.encoders.lines import Cells, LinePiece


class SeriesText:
    """Texts of the series of one entry, each under its own syntax."""

    def __init__(self, series: Sequence[LabelText]) -> None:
        self._series = series
        self.lines_per_event = len(series)

    def constants(self, spike_mask: int) -> list[bytes] | None:
        """Return the text of each series at every tick with these spikes active, or None when one rotates."""
        texts = [series.constant(spike_mask) for series in self._series]
        constant = [text for text in texts if text is not None]
        return constant if len(constant) == len(texts) else None

    def piece(self, first_tick: int, count: int, spike_mask: int) -> LinePiece:
        """Return the texts of `count` ticks with these spikes active: bytes when all lines have the same."""
        if self.lines_per_event == 1:
            return self._series[0].piece(first_tick, count, spike_mask)
        cells: list[bytes] = [b""] * (count * self.lines_per_event)
        for place, series in enumerate(self._series):
            text = series.piece(first_tick, count, spike_mask)
            cells[place :: self.lines_per_event] = [text] * count if isinstance(text, bytes) else text.cells()
        return Cells(cells)
