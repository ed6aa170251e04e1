"""A short run in the template, and in each worker before it is parked.

The interpreter adapts code to what it is used for and writes that into the code, libraries make tables when they are
first asked: that is done once, in the template. And a process that was forked copies each page that it is the first to
write to, which is half of what the start of a run costs: a worker does that while nobody waits for it.
"""

import os
import time
from multiprocessing.connection import Pipe
from typing import Final

from common.board import Board, WorkerBoard
from common.checkpoints import Checkpoints
from common.forking import SharedFiles
from common.messages import Run, Start
from common.plan import EntryPlan
from common.specs import File, PrometheusText, Sine
from common.wire import send
from worker.control.control import Control
from worker.gates.links import Links
from worker.serve import Seat, serve

_RUNS: Final = 9
"""The interpreter adapts what was called eight times."""

_TICKS: Final = 4
_RATE: Final = 4000.0
_CALL_NS: Final = 60_000


class _QuickClock:
    """A clock that goes on with every look at it, so that the run is the same however busy the machine is."""

    def __init__(self) -> None:
        self._now_ns = time.monotonic_ns()

    def monotonic_ns(self) -> int:
        self._now_ns += _CALL_NS
        return self._now_ns

    def wall_ns(self) -> int:
        return time.time_ns()


def warm_up(runs: int = _RUNS) -> None:
    """Run an entry of a few ticks into the null device some times, in a few milliseconds, and leave nothing open."""
    board, checkpoints = Board(1), Checkpoints(1)
    alive, alive_writer = os.pipe2(os.O_CLOEXEC)
    ours, theirs = Pipe()
    clock = _QuickClock()
    control = Control(theirs, alive, clock)
    seat = Seat(
        WorkerBoard(board.descriptor, 0),
        Links(board.descriptor, 0),
        0,
        SharedFiles(board.descriptor, checkpoints.descriptor),
        clock=clock,
    )
    plan = EntryPlan(
        id=None,
        name="warming",
        rate=_RATE,
        duration_ns=int(_TICKS / _RATE * 1e9),
        generator=Sine(amplitude=1.0, period_secs=60.0, offset=0.0),
        labels={"of": "template"},
        encoder=PrometheusText(),
        sink=File(path=os.devnull),
    )
    for _ in range(runs):
        board.clear(0)
        send(ours, Start(start_ns=clock.monotonic_ns(), wall_ns=clock.wall_ns()))
        serve(Run(scenario_id="warming", entry=plan, keeps_checkpoints=True), control, seat)
    control.close()
    for connection in (ours, theirs):
        connection.close()
    for descriptor in (alive, alive_writer):
        os.close(descriptor)
