"""Which guests leave a shared worker that is too hot."""

from typing import Any, cast

from common.board import Board
from common.plan import GatePlan, PlannedEntry
from supervisor.engine.guests import Guest
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.shedding import PATIENCE, Shedding
from supervisor.engine.spawn import WorkerProcess
from tests.support.plans import entry_plan

SECOND = 1_000_000_000


class Host:
    def __init__(self, pid: int) -> None:
        self.pid = pid


class Machine:
    """Two workers whose load the test sets, and what runs in them.

    Attributes:
        load: by the worker's process id, its part of a core.
        guest_load: by the scenario's id, the same.
    """

    def __init__(self, *guests_of: tuple[str, ...], gated: str = "") -> None:
        self.load: dict[int, float] = {}
        self.guest_load: dict[str, float] = {}
        self._used: dict[int, float] = {}
        self._now_ns = 100 * SECOND
        self._board = Board(16)
        self.scenarios: dict[str, LaunchedScenario] = {}
        self.hosts: dict[Any, list[tuple[Guest, LaunchedScenario]]] = {}
        for pid, names in enumerate(guests_of, start=1):
            host = cast("WorkerProcess", Host(pid))
            self.hosts[host] = [self._guest(host, name, name in gated) for name in names]
        self.shedding = Shedding(lambda pid: int(self._used.get(pid, 0.0) * SECOND))

    def _guest(self, host: WorkerProcess, name: str, gated: bool) -> tuple[Guest, LaunchedScenario]:
        gate = GatePlan(scenario_name="o", ref="u", op=">", value=0.0) if gated else None
        scenario = LaunchedScenario(name, PlannedEntry(plan=entry_plan(gate=gate), config={}), None, 0)
        row = len(self.scenarios)
        scenario.attach(self._board.row(row), row)
        scenario._started = True
        self.scenarios[name] = scenario
        return Guest(host, name, row, lambda: None), scenario

    def second(self) -> list[str]:
        """Let a second pass; the ids of those that are to leave."""
        self._now_ns += SECOND
        for pid, load in self.load.items():
            self._used[pid] = self._used.get(pid, 0.0) + load
        for name, load in self.guest_load.items():
            row = self._board.row(list(self.scenarios).index(name))
            counters = row.read()
            counters.cpu_ns += int(load * SECOND)
            counters.state_since_ns = 1
            row.publish(counters)
        return [scenario.id for _, scenario in self.shedding.look(self.hosts, self._now_ns)]


def test_the_costliest_guest_leaves_a_worker_that_stays_hot() -> None:
    """After some seconds, not at once, and nobody is placed there meanwhile."""
    machine = Machine(("a", "b", "c"), ("d",))
    machine.load = {1: 0.95, 2: 0.5}
    machine.guest_load = {"a": 0.1, "b": 0.6, "c": 0.2}
    assert machine.second() == []
    left = [machine.second() for _ in range(PATIENCE)]
    assert left == [[]] * (PATIENCE - 1) + [["b"]]
    assert [host.pid for host in machine.shedding.hot] == [1]


def test_one_after_the_other_leaves_each_once() -> None:
    """Until the worker has time again; one that has left is not looked for any more."""
    machine = Machine(("a", "b", "c"))
    machine.load = {1: 1.0}
    machine.guest_load = {"a": 0.1, "b": 0.6, "c": 0.2}
    left = [name for _ in range(PATIENCE * 4 + 1) for name in machine.second()]
    assert left == ["b", "c", "a"]
    machine.load = {1: 0.2}
    assert machine.second() == []
    assert machine.shedding.hot == frozenset()


def test_seconds_in_between_are_forgiven() -> None:
    """A worker that was busy for a moment is not hot."""
    machine = Machine(("a", "b"))
    for load in (0.1, 1.0, 1.0, 0.1) * 5:
        machine.load = {1: load}
        assert machine.second() == []


def test_those_who_are_alone_or_gated_stay() -> None:
    """One guest gains nothing by leaving; the state of a gate stays where it is."""
    alone, gated = Machine(("a",)), Machine(("a", "b"), gated="ab")
    for machine in (alone, gated):
        machine.load = {1: 1.0}
        assert [machine.second() for _ in range(10)] == [[]] * 10


def test_a_worker_that_has_gone_is_not_hot() -> None:
    """Its processor time is not known."""
    machine = Machine(("a", "b"))
    machine.shedding = Shedding(lambda _: None)
    assert machine.second() == []
