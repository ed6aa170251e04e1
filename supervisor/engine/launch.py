"""One body on its way from the request to its common start. Touches no process.

reserved ──► every entry has a worker and sent it Run ──► every worker answered Prepared ──► started, or given up
"""

import time
from collections import Counter, deque
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from common.messages import Start
from common.plan import Plan
from supervisor.engine.control_plane import LaunchError, Scenario
from supervisor.engine.scenarios import LaunchedScenario

W = TypeVar("W")

LATEST_START_NS: Final = 1_000_000_000
"""How far behind the start that was asked for the workers may be ready: the ticks since then are made up for."""

MOST_LOSSES: Final = 8
"""Workers that an entry may lose before its body is given up: several parked ones may have been dead already when they
were taken, and the loop hears of it later; an entry that kills its worker must not be tried for ever."""


class Launch(Generic[W]):
    """The entries of one body and the workers taken for them.

    Args:
        scenarios: its reserved scenarios, in entry order.
        reply: where the answer goes.
        start: the instant that it was started at before; None for one that begins.
        plan: says when one that begins is to start; None for one that was started before.
    """

    def __init__(
        self,
        scenarios: list[LaunchedScenario],
        reply: "Future[list[Scenario]]",
        start: Start | None = None,
        plan: Plan | None = None,
    ) -> None:
        self._start = start
        self._start_at_ns = None if plan is None else plan.start_at_ns
        # It was started then on another host.
        self._may_be_past = plan is not None and plan.resumes
        self.scenarios = scenarios
        self.reply = reply
        self.without_worker = deque(scenarios)
        self.workers: dict[W, LaunchedScenario] = {}
        self._unprepared: set[W] = set()
        self._losses: Counter[LaunchedScenario] = Counter()

    def begin(self) -> Start:
        """Return the common start: now, unless it lies behind or another was asked for.

        Raises:
            LaunchError: the instant that was asked for has passed meanwhile.
        """
        if self._start is not None:
            return self._start
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        if self._start_at_ns is None:
            return Start(start_ns=now_ns, wall_ns=wall_ns)
        late_ns = wall_ns - self._start_at_ns
        if late_ns > LATEST_START_NS and not self._may_be_past:
            raise LaunchError(
                f"the workers were ready {late_ns / 1e9:.1f} s behind start_at; ask for a start further ahead"
            )
        return Start(start_ns=now_ns - late_ns, wall_ns=self._start_at_ns)

    def assign(self, worker: W) -> LaunchedScenario:
        """Give `worker` the next entry without one, and return it."""
        scenario = self.without_worker.popleft()
        self.workers[worker] = scenario
        self._unprepared.add(worker)
        return scenario

    def withdraw(self, worker: W) -> None:
        """Take back an assignment that did not reach its worker."""
        self._unprepared.remove(worker)
        self.without_worker.appendleft(self.workers.pop(worker))

    def retry(self, worker: W) -> bool:
        """Take back an assignment whose worker is gone; False when the same entry has lost MOST_LOSSES."""
        scenario = self.workers[worker]
        self._losses[scenario] += 1
        if self._losses[scenario] >= MOST_LOSSES:
            return False
        # A prepared worker that goes is lost as well.
        self._unprepared.add(worker)
        self.withdraw(worker)
        return True

    def waits_for(self, worker: W) -> bool:
        """Return whether `worker` has got its entry and is not prepared."""
        return worker in self._unprepared

    def prepared(self, worker: W) -> bool:
        """Note that `worker` is prepared; returns whether the whole body can start."""
        self._unprepared.discard(worker)
        return not self.without_worker and not self._unprepared
