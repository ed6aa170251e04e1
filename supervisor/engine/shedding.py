"""Which shared workers are hot, and which of their guests are to go on in another. Main thread only.

A worker that takes nearly a whole core makes the ticks of all its guests late. Looked at once a second: after some
seconds in a row the guest that has taken the most goes, once; and so on until the worker has time again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from supervisor.engine.guests import Guest
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.spawn import WorkerProcess

HOT_SHARE: Final = 0.85
"""Of a core: the part above which a worker is hot."""

PATIENCE: Final = 3
"""For so many looks in a row."""

_NS_PER_SEC: Final = 1_000_000_000


class Shedding:
    """Finds guests that are to leave.

    Args:
        cpu_ns: returns the processor time of a process, None when it is gone.
    """

    def __init__(self, cpu_ns: Callable[[int], int | None]) -> None:
        self._cpu_ns = cpu_ns
        self._looked_ns = 0
        self._used_ns: dict[WorkerProcess, int] = {}
        self._hot_looks: dict[WorkerProcess, int] = {}
        self._before_ns: dict[LaunchedScenario, int] = {}
        self._moved: set[str] = set()

    @property
    def hot(self) -> frozenset[WorkerProcess]:
        """The workers that are hot, where nobody is to be placed."""
        return frozenset(self._hot_looks)

    def look(
        self, hosts: Mapping[WorkerProcess, Iterable[tuple[Guest, LaunchedScenario]]], now_ns: int
    ) -> list[tuple[Guest, LaunchedScenario]]:
        """Return the guests that are to leave now, one of a worker at the most.

        Args:
            hosts: the workers that host scenarios, with those that run in them.
            now_ns: monotonic.
        """
        passed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        used = {host: used for host in hosts if (used := self._cpu_ns(host.pid)) is not None}
        hot = [host for host in used if used[host] - self._used_ns.get(host, used[host]) > HOT_SHARE * passed_ns]
        self._used_ns = used
        self._hot_looks = {host: self._hot_looks.get(host, 0) + 1 for host in hot}
        leaving = [one for host in hot if (one := self._hottest(host, list(hosts[host]))) is not None]
        kept = {scenario for host in hot for _, scenario in hosts[host]}
        self._before_ns = {scenario: ns for scenario, ns in self._before_ns.items() if scenario in kept}
        return leaving

    def _hottest(
        self, host: WorkerProcess, guests: list[tuple[Guest, LaunchedScenario]]
    ) -> tuple[Guest, LaunchedScenario] | None:
        taken: dict[LaunchedScenario, int] = {}
        for _, scenario in guests:
            cpu_ns = scenario.counters().cpu_ns
            taken[scenario] = cpu_ns - self._before_ns.get(scenario, cpu_ns)
            self._before_ns.setdefault(scenario, cpu_ns)
        # A gate's state is not known from outside; what has moved once is not what makes a worker hot.
        movable = [
            (guest, scenario)
            for guest, scenario in guests
            if scenario.entry.plan.gate is None and scenario.id not in self._moved
        ]
        if self._hot_looks[host] < PATIENCE or len(guests) < 2 or not movable:
            return None
        self._hot_looks[host] = 0
        one = max(movable, key=lambda one: taken[one[1]])
        self._moved.add(one[1].id)
        return one
