"""The downstream's side of gates: what is known of the entry whose value decides.

Source: docs/states.md, "Gates" and "Across bodies".
"""

from collections import deque

from common.gate_cell import GateCell
from common.plan import GatePlan
from worker.gates.gate import Signal
from worker.gates.watchers import is_open


class GateUpstream:
    """The upstream of this worker's gate, read where it publishes its value.

    Args:
        board_descriptor: the board's memory file.
    """

    def __init__(self, board_descriptor: int) -> None:
        self._board_descriptor = board_descriptor
        self._news: deque[int | None] = deque()
        self._cell: GateCell | None = None
        self._value: float | None = None
        self._verdict = Signal.SILENT

    @property
    def has_news(self) -> bool:
        """Whether `signal` has to be asked again, because more than a value has changed."""
        return bool(self._news)

    def follow(self, row: int) -> None:
        """Note that the entry in `row` is the upstream from now on."""
        self._news.append(row)

    def lose(self) -> None:
        """Note that the upstream has ended."""
        self._news.append(None)

    def first_signal(self, plan: GatePlan, start_ns: int) -> Signal:
        """Return what the gate is to hear at the entry's start (monotonic ns).

        An upstream that starts at the same instant has no value then: however fast it is, its first one comes live.
        """
        signal = self.signal(plan)
        is_live = self._cell is not None and self._cell.first_ns() >= start_ns
        return Signal.SILENT if is_live else signal

    def signal(self, plan: GatePlan) -> Signal:
        """Return what the gate is to hear; of values the newest alone counts, but no loss is passed over."""
        if self._news:
            row = self._news.popleft()
            self._cell = None if row is None else GateCell(self._board_descriptor, row)
            self._value, self._verdict = None, Signal.SILENT
            if row is None:
                return Signal.GONE if plan.scenario_name is None else Signal.ABSENT
        if self._cell is None:
            return Signal.ABSENT
        value = self._cell.newest()
        # A row without a value that had one before is being given to another entry, and the loss is on its way.
        if value != self._value and value is not None:
            self._value = value
            self._verdict = Signal.OPEN if is_open(plan.op, value, plan.value) else Signal.CLOSED
        return self._verdict
