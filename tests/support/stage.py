"""Everything around one runner, on a clock that tests move."""

from collections.abc import Callable
from typing import Any

import worker.encoders
import worker.generators
from common.board import Board, WorkerBoard
from common.checkpoints import CheckpointWriter
from common.counters import Counters
from common.errors import SinkError, SinkOpenError
from common.messages import Start
from common.plan import EntryPlan
from common.specs import Step
from tests.support.deliveries import direct_to
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker.gates.links import Links
from worker.runner import Reason, Runner
from worker.ticks.batch import Encoded


class RecordingSink:
    """Keeps every batch with the instant of its write; each write takes `write_ns`."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.write_ns = 0
        self.written: list[tuple[int, Encoded]] = []
        self.calls: list[str] = []
        self.fail_open = False
        self.fail_write: Callable[[], bool] = lambda: False

    def open(self) -> None:
        self.calls.append("open")
        if self.fail_open:
            raise SinkOpenError("no such place")

    def write(self, encoded: Encoded) -> None:
        if self.fail_write():
            raise SinkError("full")
        self.written.append((self.clock.now_ns, encoded))
        self.clock.now_ns += self.write_ns

    def close(self) -> None:
        self.calls.append("close")


class Stage:
    """Everything around one runner."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.waiter = ManualWaiter(self.clock)
        self.sink = RecordingSink(self.clock)
        self.board = Board(1)
        self.row = self.board.row(0)
        self.start_ns = self.clock.now_ns
        self.shown: list[Counters] = []
        self.waiter.on_wait = lambda: self.shown.append(self.row.read())

    def runner(self, plan: EntryPlan, held_ns: int = 0, kept: CheckpointWriter | None = None) -> Runner:
        return Runner(
            plan,
            worker.generators.build(plan),
            worker.encoders.build(plan),
            direct_to(self.sink, plan, self.waiter, self.clock),
            WorkerBoard(self.board.descriptor, 0),
            Links(self.board.descriptor, 0),
            self.waiter,
            self.clock,
            kept=kept,
            held_ns=held_ns,
        )

    def start(self) -> Start:
        return Start(start_ns=self.start_ns, wall_ns=self.clock.wall_ns())

    def run(self, plan: EntryPlan) -> Reason:
        return self.runner(plan).run(self.start())

    @property
    def lines(self) -> list[bytes]:
        return b"".join(encoded.payload for _, encoded in self.sink.written).splitlines()


def counting(rate: float, duration_ns: int | None, **fields: Any) -> EntryPlan:
    """An entry whose value is the number of its tick."""
    return entry_plan(rate=rate, duration_ns=duration_ns, generator=Step(step_size=1.0), **fields)
