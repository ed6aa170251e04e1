"""Scenarios in shared workers that are started, stopped, killed, moved and changed: what each writes is its own."""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from common.plan import GatePlan, PlannedEntry
from common.sharing import Sharing
from common.specs import File, Step, Tcp
from common.states import State
from common.tuning import Change, Tuning
from supervisor.engine.control_plane import NotRunningError, Scenario, StopResult
from supervisor.engine.guests import Guest
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.shedding import Shedding
from tests.support.polling import wait_until
from tests.support.processes import has_ended
from tests.support.running_fleet import RunningFleet
from tests.unit.supervisor.engine.entries import plan_of, planned_entry

LONG_SECS = 60.0
RATE = 100.0
MS_PER_TICK = 10
NS = 1_000_000_000
PER_WORKER = 3

choices = st.integers(0, 11)


def steps_to(path: Path, rate: float = RATE, gate: GatePlan | None = None, entry_id: str | None = None) -> PlannedEntry:
    sink = File(path=str(path))
    return planned_entry(path.name, id=entry_id, rate=rate, generator=Step(step_size=1), sink=sink, gate=gate)


def due_ms(scenario: Scenario, tick: int) -> int:
    """Return when a tick is due after the start, by every rate that the scenario has had."""
    begin, begin_ms, per_tick = 0, 0, MS_PER_TICK
    for one in scenario.retunes:
        if one.tick > tick:
            break
        begin_ms += (one.tick - begin) * per_tick
        begin, per_tick = one.tick, round(1000 / one.changes["rate"])
    return begin_ms + (tick - begin) * per_tick


def change_of_rate(entry: PlannedEntry, rate: float) -> Change:
    plan = entry.plan
    tuning = Tuning(rate=rate, duration_ns=None, labels=plan.labels, generator=None, jitter=0.0, jitter_seed=0)
    return Change(tuning=tuning, config={}, changes={"rate": rate})


def check_file(path: Path, scenario: Scenario) -> None:
    """Every tick outside the holes stands in the file, with the value and the stamp that it has alone."""
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    if lines.pop() or not lines:
        assert scenario.exit_reason is not None or not lines
    ticks = [int(line.split()[1]) for line in lines]
    assert ticks == sorted(set(ticks))
    zeros = {int(line.split()[2]) - due_ms(scenario, tick) for line, tick in zip(lines, ticks, strict=True)}
    assert len(zeros) <= 1
    if ticks:
        told = [hole.missed_ticks for hole in scenario.holes]
        # Behind the last hole there may have been no time for a tick.
        assert ticks[-1] + 1 - len(ticks) in (sum(told), sum(told[:-1]))


class SharedWorkers(RuleBasedStateMachine):
    """Whatever happens to the workers of others, and to their own once, scenarios write what they would write alone."""

    running: RunningFleet
    deaf_peer: str

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="sondad-shared-"))
        self.numbers = itertools.count()
        self.files: dict[Scenario, Path] = {}
        self.hung: list[Scenario] = []

    @property
    def workers(self) -> list[psutil.Process]:
        """Which there are depends on time, so they are chosen when a rule runs."""
        hosts = list(self.running.fleet._hosts.guests)
        found = []
        for host in hosts:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(host.pid))
        return found

    @rule(count=st.integers(1, 4), hangs=st.booleans(), is_gated=st.booleans())
    def launch(self, count: int, hangs: bool, is_gated: bool) -> None:
        paths = [self.directory / f"e{next(self.numbers)}" for _ in range(count)]
        entries = [steps_to(path, entry_id=path.name) for path in paths]
        if is_gated:
            gate = GatePlan(scenario_name=None, ref=paths[0].name, op=">", value=-1.0)
            paths.append(self.directory / f"e{next(self.numbers)}")
            entries.append(steps_to(paths[-1], gate=gate))
        if hangs:
            entries.append(planned_entry("hung", rate=1000.0, sink=Tcp(address=self.deaf_peer)))
        launched = self.running.plane.launch(plan_of(*entries), LONG_SECS)
        self.files.update(zip(launched, paths, strict=False))
        self.hung += launched[len(paths) :]

    @precondition(lambda self: self.files)
    @rule(number=choices)
    def delete(self, number: int) -> None:
        scenario = list(self.files)[number % len(self.files)]
        self.running.plane.stop(scenario.id, LONG_SECS)
        check_file(self.files.pop(scenario), scenario)

    @rule(number=choices, waits=st.booleans())
    def kill(self, number: int, waits: bool) -> None:
        workers = self.workers
        if not workers:
            return
        victim = workers[number % len(workers)]
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        if waits:
            wait_until(lambda: has_ended(victim), "it has gone")

    @precondition(lambda self: self.files)
    @rule(number=choices)
    def move(self, number: int) -> None:
        scenario = list(self.files)[number % len(self.files)]
        restarts = self.running.fleet.restarts
        for guests in list(self.running.fleet._hosts.guests.values()):
            guest = guests.get(scenario.id)
            if guest is not None and scenario.entry.plan.gate is None and isinstance(scenario, LaunchedScenario):
                self.running.loop.post(functools.partial(restarts.move, guest, scenario))

    @precondition(lambda self: self.files)
    @rule(number=choices, rate=st.sampled_from([50.0, 100.0, 200.0]))
    def retune(self, number: int, rate: float) -> None:
        scenario = list(self.files)[number % len(self.files)]
        with contextlib.suppress(NotRunningError):
            self.running.plane.retune(scenario.id, lambda entry: change_of_rate(entry, rate), LONG_SECS)

    @rule(secs=st.sampled_from([0.0, 0.05, 0.2]))
    def let_time_pass(self, secs: float) -> None:
        time.sleep(secs)  # is part of what is drawn

    def teardown(self) -> None:
        """What still runs emits; in the end each file is whole."""
        for scenario in self.files:
            before = scenario.counters()
            if before.state == State.RUNNING:
                wait_until(
                    lambda scenario=scenario, before=before: (
                        scenario.counters().total_events > before.total_events
                        or scenario.counters().state == State.FINISHED
                    ),
                    "it goes on",
                )
        for scenario, path in self.files.items():
            self.running.plane.stop(scenario.id, LONG_SECS)
            check_file(path, scenario)
        for scenario in self.hung:
            self.running.plane.stop(scenario.id, LONG_SECS)
        shutil.rmtree(self.directory)


@pytest.fixture
def running() -> Iterator[RunningFleet]:
    # Room for all that the longest example launches, and their workers.
    with RunningFleet(rows=256, sharing=Sharing("shared", PER_WORKER), spares_wanted=1) as running:
        yield running


def test_each_writes_its_own_whatever_happens_to_the_others(running: RunningFleet) -> None:
    """Launched, deleted, killed, moved, changed, with gates and beside sinks that hang."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        SharedWorkers.running = running
        SharedWorkers.deaf_peer = f"127.0.0.1:{server.getsockname()[1]}"
        run_state_machine_as_test(
            SharedWorkers,
            settings=settings(
                max_examples=6,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # What depends on time does not fail again for a smaller example.
                phases=[Phase.generate],
            ),
        )


def test_what_is_deleted_as_soon_as_it_goes_on_has_its_hole(running: RunningFleet, tmp_path: Path) -> None:
    """It is told by the worker when the scenario is not in the list any more."""
    (scenario,) = running.plane.launch(plan_of(steps_to(tmp_path / "out")), LONG_SECS)
    wait_until(lambda: scenario.counters().total_events > 10, "events")
    restarts, reply = running.fleet.restarts, Future[StopResult | None]()
    prepared = restarts.prepared

    def then_stop(one: LaunchedScenario, guest: Guest) -> None:
        seen = one.counters().total_events
        time.sleep(2 * MS_PER_TICK / 1000)  # at least one tick is due while nobody is there
        prepared(one, guest)
        wait_until(lambda: one.counters().total_events > seen, "it goes on")
        running.fleet.stop(one.id, reply)

    restarts.prepared = then_stop  # type: ignore[method-assign]
    (host,) = running.fleet._hosts.guests
    os.kill(host.pid, signal.SIGKILL)
    assert reply.result(LONG_SECS) is not None
    assert scenario.holes
    check_file(tmp_path / "out", scenario)


def test_a_hot_worker_loses_its_costliest_guest(running: RunningFleet, tmp_path: Path) -> None:
    """It goes on in another worker with its next tick: its file is what it would be alone, no tick is missing."""
    hot = {0: 0}
    running.fleet.restarts._shedding = Shedding(lambda pid: hot.get(pid, 0))
    names = ("slow", "slower", "fast")
    rates = (20.0, 10.0, 2000.0)
    entries = [steps_to(tmp_path / name, rate) for name, rate in zip(names, rates, strict=True)]
    scenarios = running.plane.launch(plan_of(*entries), LONG_SECS)
    wait_until(lambda: scenarios[2].counters().total_events > 1000, "events")
    (host,) = running.fleet._hosts.guests
    now_ns = time.monotonic_ns()
    for second in range(6):
        hot[host.pid] = second * NS
        looked = threading.Event()
        running.loop.post(functools.partial(running.fleet.restarts.relieve, now_ns + second * NS))
        running.loop.post(looked.set)
        assert looked.wait(LONG_SECS)
        total = scenarios[2].counters().total_events
        wait_until(lambda total=total: scenarios[2].counters().total_events > total + 100, "further events")
    # The engine looks too meanwhile, so that more than one may have gone.
    wait_until(lambda: len(running.fleet._hosts.guests) >= 2, "another worker has one")
    wait_until(lambda: running.fleet.restarts.moves_total, "it goes on")
    assert scenarios[2].counters().state == State.RUNNING
    seen = scenarios[2].counters().total_events
    wait_until(lambda: scenarios[2].counters().total_events > seen + 1000, "it goes on")
    for name, scenario in zip(names, scenarios, strict=True):
        result = running.plane.stop(scenario.id, LONG_SECS)
        assert result is not None
        ticks = [int(line.split()[1]) for line in (tmp_path / name).read_bytes().splitlines()]
        assert ticks == list(range(result.total_events))
    assert not any(scenario.holes or scenario.restarts for scenario in scenarios)
