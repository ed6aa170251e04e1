"""One gated entry on a clock that tests move, and the script of what its upstream does."""

import itertools
from collections.abc import Callable

import worker.encoders
import worker.generators
from common.board import Board, WorkerBoard
from common.errors import SinkError
from common.gate_cell import GateCell
from common.messages import Start
from common.plan import EntryPlan
from common.states import State
from tests.support.deliveries import direct_to
from tests.support.manual_waiter import ManualClock, ManualWaiter
from worker.gates.links import Links
from worker.runner import Reason, Runner
from worker.ticks.batch import Encoded

MS = 1_000_000
UPSTREAM_ROW = 1


class ScriptedWaiter(ManualWaiter):
    """Waits end early when something of the script happens, as they do when a bell rings."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.script: list[tuple[int, Callable[[], None]]] = []

    def look(self) -> None:
        while self.script and self.script[0][0] <= self.clock.now_ns:
            self.script.pop(0)[1]()

    def wait_until(self, deadline_ns: int) -> None:
        if not self.script or self.script[0][0] > deadline_ns:
            super().wait_until(deadline_ns)
            return
        super().wait_until(self.script[0][0])
        if not self.stopping:
            self.look()


class GatedStage:
    """Everything around one runner. The upstream starts out followed and without a value.

    Attributes:
        lines: what was written, with the instant in ms since the start.
        states: the states shown, each with the instant since which it holds.
    """

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.waiter = ScriptedWaiter(self.clock)
        self.board = Board(2)
        self.row = self.board.row(0)
        self.links = Links(self.board.descriptor, 0)
        self.upstream = GateCell(self.board.descriptor, UPSTREAM_ROW, writable=True)
        self.start_ns = self.clock.now_ns
        self.lines: list[tuple[float, bytes]] = []
        self.calls: list[str] = []
        self.states: list[tuple[float, State]] = []
        self.fail_write: Callable[[bytes], bool] = lambda _payload: False
        self.waiter.on_wait = self._note_state

    def at(self, ms: float, action: Callable[[], None]) -> None:
        """Let `action` happen `ms` after the start."""
        self.waiter.script.append((self.start_ns + int(ms * MS), action))
        self.waiter.script.sort(key=lambda one: one[0])

    def value_at(self, ms: float, value: float) -> None:
        """Let the upstream publish `value`, before the start for a negative instant."""
        self.at(ms, lambda: self.upstream.publish(value, self.start_ns + int(ms * MS)))

    def run(self, plan: EntryPlan, *, followed: bool = True) -> Reason:
        if followed:
            self.links.upstream.follow(UPSTREAM_ROW)
        runner = Runner(
            plan,
            worker.generators.build(plan),
            worker.encoders.build(plan),
            direct_to(self, plan, self.waiter, self.clock),
            WorkerBoard(self.board.descriptor, 0),
            self.links,
            self.waiter,
            self.clock,
        )
        self.waiter.look()
        try:
            return runner.run(Start(start_ns=self.start_ns, wall_ns=self.clock.wall_ns()))
        finally:
            self._note_state()

    def open(self) -> None:
        self.calls.append("open")

    def write(self, encoded: Encoded) -> None:
        self._note_state()
        if self.fail_write(encoded.payload):
            raise SinkError("full")
        self.lines += zip(itertools.repeat(self._ms(self.clock.now_ns)), encoded.payload.splitlines(), strict=False)

    def close(self) -> None:
        self.calls.append("close")

    def values(self) -> list[tuple[float, float]]:
        """Instant (ms) and value of every line."""
        return [(ms, float(line.split()[-2])) for ms, line in self.lines]

    def stamps(self) -> list[float]:
        """The stamp of every line, in ms since the start."""
        start_ms = (self.clock.wall_offset_ns + self.start_ns) // MS
        return [int(line.split()[-1]) - start_ms for _, line in self.lines]

    def _ms(self, instant_ns: int) -> float:
        return (instant_ns - self.start_ns) / MS

    def _note_state(self) -> None:
        shown = self.row.read()
        state = (self._ms(shown.state_since_ns), State(shown.state))
        if shown.state_since_ns and (not self.states or self.states[-1] != state):
            self.states.append(state)
