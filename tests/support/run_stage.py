"""A run on a clock that is set by hand, with all that outlives its workers."""

from collections.abc import Callable

import worker.encoders
import worker.generators
from common.board import Board, WorkerBoard
from common.checkpoints import Checkpoint, Checkpoints, CheckpointWriter, Resume
from common.counters import Counters
from common.messages import Start
from common.plan import EntryPlan
from tests.support.deliveries import direct_to
from tests.support.manual_waiter import ManualClock, ManualWaiter
from worker.delivery import Delivery
from worker.gates.links import Links
from worker.runner import Runner
from worker.serve import HELD_NS
from worker.ticks.batch import Encoded
from worker.ticks.resuming import Missed


class EventsSink:
    """A sink that keeps events."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def open(self) -> None:
        pass

    def write(self, encoded: Encoded) -> None:
        start = 0
        for end in encoded.ends().tolist():
            self.events.append(encoded.payload[start:end])
            start = end

    def close(self) -> None:
        pass

    @property
    def payload(self) -> bytes:
        return b"".join(self.events)


class RunStage:
    """A clock and a board that outlive workers, and the entry that they run one after the other."""

    def __init__(self, plan: EntryPlan) -> None:
        self.plan = plan
        self.clock = ManualClock()
        self.start = Start(start_ns=self.clock.now_ns, wall_ns=self.clock.wall_ns())
        self.board = Board(2)
        self.checkpoints = Checkpoints(2)
        self.sink = EventsSink()
        self.links = Links(self.board.descriptor, 0)
        self.missed: list[Missed] = []

    def run_with(self, waiter: ManualWaiter, resume: Resume | None = None) -> Checkpoint:
        """Run until the waiter stops it; return what is kept then."""
        waiter.interrupted = True
        Runner(
            self.plan,
            worker.generators.build(self.plan),
            worker.encoders.build(self.plan),
            self.way(waiter),
            WorkerBoard(self.board.descriptor, 0),
            self.links,
            waiter,
            self.clock,
            CheckpointWriter(self.checkpoints.descriptor, 0),
            resume,
            self.missed.append,
            HELD_NS,
        ).run(self.start)
        kept = self.checkpoints.read(0)
        assert kept is not None
        return kept

    def way(self, waiter: ManualWaiter) -> Callable[[Counters, Callable[[], None]], Delivery]:
        """Return what makes the way of the events to their destination."""
        return direct_to(self.sink, self.plan, waiter, self.clock)

    @property
    def lines(self) -> list[bytes]:
        return self.sink.payload.splitlines()
