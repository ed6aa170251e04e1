"""One body on its way from the request to its common start. Touches no process.

reserved ──► every entry has a worker and sent it Run ──► every worker answered Prepared ──► started, or given up
"""

from collections import Counter, deque
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from common.plan import Plan
from supervisor.engine.control_plane import Scenario
from supervisor.engine.scenarios import LaunchedScenario

W = TypeVar("W")

MOST_LOSSES: Final = 8
"""Workers that an entry may lose before its body is given up: several parked ones may have been dead already when they
were taken, and the loop hears of it later; an entry that kills its worker must not be tried for ever."""


class Launch(Generic[W]):
    """The entries of one body and the workers taken for them.

    Args:
        plan: the body.
        scenarios: its reserved scenarios, in entry order.
        reply: where the answer goes.
    """

    def __init__(self, plan: Plan, scenarios: list[LaunchedScenario], reply: "Future[list[Scenario]]") -> None:
        self.plan = plan
        self.scenarios = scenarios
        self.reply = reply
        self.without_worker = deque(scenarios)
        self.workers: dict[W, LaunchedScenario] = {}
        self._unprepared: set[W] = set()
        self._losses: Counter[LaunchedScenario] = Counter()

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
