"""Gates between real workers: chains, losses, bodies that come and go, and what a paused worker costs."""

import gc
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.plan import GatePlan, PlannedEntry
from common.specs import Constant, File, Sequence, Step
from common.states import State
from supervisor.engine.control_plane import Scenario
from tests.support.polling import wait_until
from tests.support.processes import freeze, worker_of
from tests.support.running_fleet import RunningFleet
from tests.unit.supervisor.engine.entries import plan_of, planned_entry

LONG_SECS = 60.0
NS = 1_000_000_000
HOUR_NS = 3600 * NS


@pytest.fixture(scope="module")
def running() -> Iterator[RunningFleet]:
    with RunningFleet(spares_wanted=4) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(running: RunningFleet) -> Iterator[None]:
    yield
    for scenario in running.plane.scenarios():
        running.plane.stop(scenario.id, LONG_SECS)


def launch(running: RunningFleet, *entries: PlannedEntry, name: str | None = None) -> list[Scenario]:
    return running.plane.launch(plan_of(*entries, scenario_name=name), LONG_SECS)


def stop(running: RunningFleet, scenario: Scenario) -> None:
    assert running.plane.stop(scenario.id, LONG_SECS) is not None


def kill(scenario: Scenario) -> None:
    os.kill(worker_of(scenario.id).pid, signal.SIGKILL)


def source(name: str = "up", value: float = 1.0, **changes: Any) -> PlannedEntry:
    """An entry that can be watched: one value, twenty times a second."""
    return planned_entry(name, **{"id": name, "rate": 20.0, "generator": Constant(value=value)} | changes)


def gated(
    name: str, ref: str, body: str | None = None, gate: dict[str, Any] | None = None, **changes: Any
) -> PlannedEntry:
    """An entry that emits while the entry `ref` is above 0.5."""
    clause = GatePlan(**{"scenario_name": body, "ref": ref, "op": ">", "value": 0.5} | (gate or {}))
    return planned_entry(name, **{"id": name, "rate": 100.0, "gate": clause, "duration_ns": HOUR_NS} | changes)


def state_of(scenario: Scenario) -> State:
    return State(scenario.counters().state)


def wait_for_state(scenario: Scenario, state: State) -> None:
    wait_until(lambda: state_of(scenario) is state, f"{scenario.entry.plan.name} is {state.wire}")


def wait_for_growth(scenario: Scenario, events: int = 3) -> None:
    seen = scenario.counters().total_events
    wait_until(lambda: scenario.counters().total_events >= seen + events, f"{scenario.entry.plan.name} emits")


def three(running: RunningFleet) -> list[Scenario]:
    """A chain: b follows a, c follows b; all three emit."""
    chain = launch(running, source("a"), gated("b", "a"), gated("c", "b"), planned_entry("bystander", rate=50.0))
    for scenario in chain[:3]:
        wait_for_state(scenario, State.RUNNING)
        wait_for_growth(scenario)
    return chain


def test_what_a_launch_answers_does_not_depend_on_how_fast_it_is(running: RunningFleet) -> None:
    """Ungated: running; gated within the body: pending; on another body that is not there: unresolved."""
    entries = [source(), gated("local", "up"), gated("far", "x", "nobody"), gated("late", "x", "n", phase_offset_ns=NS)]
    assert [one.first_state for one in launch(running, *entries)] == [
        State.RUNNING,
        State.PENDING,
        State.UNRESOLVED,
        State.PENDING,
    ]


def test_a_closed_gate_pauses_without_running(running: RunningFleet) -> None:
    """And nothing is emitted until the upstream ends, which is the end of both."""
    up, down = launch(running, source(value=0.0), gated("down", "up"))
    wait_for_state(down, State.PAUSED)
    wait_for_growth(up)
    stop(running, up)
    wait_for_state(down, State.FINISHED)
    wait_until(lambda: running.plane.scenarios() == [down], "only the downstream is listed")
    assert down.counters().total_events == 0
    assert down.exit_reason is None


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_a_killed_member_takes_those_behind_it_along(running: RunningFleet, killed: int) -> None:
    """SIGKILL of a member of a chain finishes it and all that follow it; those before it, and others, go on."""
    chain = three(running)
    kill(chain[killed])
    for scenario in chain[killed:3]:
        wait_for_state(scenario, State.FINISHED)
    wait_until(lambda: chain[killed].exit_reason, "the reason")
    assert [scenario.exit_reason for scenario in chain[killed + 1 : 3]] == [None] * (2 - killed)
    for scenario in (*chain[:killed], chain[3]):
        assert state_of(scenario) is State.RUNNING
        wait_for_growth(scenario)


def test_a_deleted_member_takes_those_behind_it_along(running: RunningFleet) -> None:
    """Their rows stay, finished, and everything they had is flushed."""
    chain = three(running)
    stop(running, chain[0])
    for scenario in chain[1:3]:
        wait_for_state(scenario, State.FINISHED)
    wait_for_growth(chain[3])
    assert running.plane.scenarios() == chain[1:]


def test_hundreds_of_edges(running: RunningFleet, tmp_path: Path) -> None:
    """A chain of three while the supervisor is kept busy: numbers without a hole, every event counted and delivered."""
    paths = [tmp_path / name for name in "abc"]
    flapping = Sequence(values=(1.0, 0.0), repeat=True)
    a, b, c = launch(
        running,
        source("a", rate=100.0, generator=flapping, duration_ns=5 * NS, sink=File(path=str(paths[0]))),
        gated("b", "a", rate=500.0, generator=Step(step_size=1.0), sink=File(path=str(paths[1]))),
        gated("c", "b", rate=500.0, generator=Step(step_size=1.0), sink=File(path=str(paths[2]))),
    )
    end = time.monotonic() + LONG_SECS
    while state_of(c) is not State.FINISHED:
        assert time.monotonic() < end, "the chain does not end"
        stop(running, *launch(running, planned_entry("load")))
    # Ticks that are overdue at the end on a busy machine are left out.
    assert 250 < a.counters().total_events <= 500
    for scenario, path in ((b, paths[1]), (c, paths[2])):
        lines = path.read_bytes().splitlines()
        assert len(lines) == scenario.counters().total_events
        assert [float(line.split()[1]) for line in lines] == [float(k) for k in range(len(lines))]
        stamps = [int(line.split()[2]) for line in lines]
        assert stamps == sorted(stamps)
        assert len(lines) > 25
        assert scenario.counters().errors == 0


def test_a_paused_worker_sleeps(running: RunningFleet) -> None:
    """It is not woken once while its upstream publishes values that change nothing."""
    up, down = launch(running, source(value=0.0), gated("down", "up"))
    wait_for_state(down, State.PAUSED)
    process = worker_of(down.id)
    before = process.num_ctx_switches().voluntary
    wait_for_growth(up, 20)
    assert process.num_ctx_switches().voluntary == before


def test_many_watch_one(running: RunningFleet) -> None:
    """Thirty gates on one entry open and close independently of each other."""
    thresholds = [k / 10 for k in range(30)]
    steps = Sequence(values=(3.5, 1.45), repeat=False)
    entries = [gated(f"d{k}", "up", gate={"value": value}) for k, value in enumerate(thresholds)]
    _, *downs = launch(running, source(generator=steps, rate=2.0), *entries)
    for down, threshold in zip(downs, thresholds, strict=True):
        wait_for_state(down, State.RUNNING if threshold < 1.45 else State.PAUSED)


def test_wires_cost_nothing_after_their_end(running: RunningFleet) -> None:
    """Bodies with gates that come and go leave no descriptor in the supervisor nor in the upstream."""
    (up,) = launch(running, source(), name="body")
    upstream = worker_of(up.id)

    def cycle() -> None:
        downs = launch(running, *(gated(f"d{k}", "up", "body") for k in range(3)))
        for down in downs:
            wait_for_state(down, State.RUNNING)
            stop(running, down)

    cycle()
    running.wait_until_full()
    # Boards of earlier tests would otherwise give their descriptors back in the middle of the count.
    gc.collect()
    before, before_upstream = running.held(), upstream.num_fds()
    for _ in range(5):
        cycle()
    running.wait_until_full()
    running.wait_until_held(before)
    wait_until(lambda: upstream.num_fds() <= before_upstream, "the upstream has no more descriptors than before")


def test_a_body_of_the_same_name_takes_over(running: RunningFleet) -> None:
    """A waiter is connected to the next body of the name, also when that was posted while the old one was stopping."""
    (old,) = launch(running, source(), name="body")
    (down,) = launch(running, gated("down", "up", "body"))
    assert down.resolution is None
    wait_for_state(down, State.RUNNING)
    freeze(worker_of(old.id).pid)
    running.fleet._loop.post(lambda: running.fleet.stop(old.id, Future()))
    wait_until(lambda: running.plane.conflicts("body") == [], "the name is free")
    (new,) = launch(running, source(value=0.0), name="body")
    assert state_of(down) is State.RUNNING
    kill(old)
    wait_for_state(down, State.PAUSED)
    assert down.resolution is not None
    assert down.resolution.attempts == 1
    stop(running, new)
    wait_for_state(down, State.UNRESOLVED)


def test_without_descriptors_a_gate_cannot_be_wired(running: RunningFleet) -> None:
    """The entry that waits is ended with the reason, because it would never open; its upstream runs on."""
    (up,) = launch(running, source(), name="body")
    running.wait_until_full()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        (down,) = launch(running, gated("down", "up", "body"))
        wait_for_state(down, State.FINISHED)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert down.exit_reason == "killed: its gate cannot be wired: [Errno 24] Too many open files"
    wait_for_growth(up)
    (again,) = launch(running, gated("again", "up", "body"))
    wait_for_state(again, State.RUNNING)


class GateBetweenBodies(RuleBasedStateMachine):
    """A gated entry while bodies it may watch come, go and die: its states and counts are the model's."""

    running: RunningFleet

    @initialize(mode=st.sampled_from(["pending", "closed", "open"]), snaps=st.booleans())
    def launch(self, mode: str, snaps: bool) -> None:
        clause = {"if_unresolved": mode, "snap_to": -1.0 if snaps else None}
        (self.down,) = launch(self.running, gated("down", "up", "body", clause))
        assert self.down.first_state is State.UNRESOLVED
        self.up: Scenario | None = None
        self.mode, self.snaps = mode, snaps
        self.attempts = 0
        self.expected = State.UNRESOLVED
        self.registered_at_ns = self.down.resolution and self.down.resolution.registered_at_ns
        self.settle()

    @precondition(lambda self: self.up is None)
    @rule(value=st.sampled_from([0.0, 1.0]))
    def post(self, value: float) -> None:
        (self.up, other) = launch(self.running, source(value=value), source("other"), name="body")
        self.other = other
        self.attempts += 1
        if value > 0.5:
            self.expected = State.RUNNING
        else:
            held = self.snaps and self.down.counters().total_events > 0
            self.expected = State.HELD if held else State.PAUSED
        self.settle()

    @precondition(lambda self: self.up is not None)
    @rule(how=st.sampled_from([stop, lambda _, scenario: kill(scenario)]))
    def lose(self, how: Callable[[RunningFleet, Scenario], None]) -> None:
        assert self.up is not None
        how(self.running, self.up)
        wait_for_state(self.up, State.FINISHED)
        self.expected = State.UNRESOLVED
        self.settle()
        for scenario in (self.other, self.up):
            if self.running.plane.scenario(scenario.id) is not None:
                stop(self.running, scenario)
        self.up = None

    @precondition(lambda self: self.up is not None and state_of(self.other) is State.RUNNING)
    @rule()
    def lose_a_sibling_of_the_upstream(self) -> None:
        kill(self.other)
        wait_for_state(self.other, State.FINISHED)

    def settle(self) -> None:
        wait_for_state(self.down, self.expected)
        self.emits = self.expected is State.RUNNING or (self.expected is State.UNRESOLVED and self.mode == "open")
        if self.emits:
            wait_for_growth(self.down)
        self.events = self.down.counters().total_events

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        counters = self.down.counters()
        assert counters.state == self.expected
        assert counters.errors == 0
        if not self.emits:
            assert counters.total_events == self.events
            assert counters.current_rate == 0.0
        resolution = self.down.resolution
        assert resolution is not None
        assert (resolution.attempts, resolution.registered_at_ns) == (self.attempts, self.registered_at_ns)

    def teardown(self) -> None:
        for scenario in self.running.plane.scenarios():
            stop(self.running, scenario)


def test_bodies_that_come_go_and_die(running: RunningFleet) -> None:
    """See `GateBetweenBodies`."""

    GateBetweenBodies.running = running
    run_state_machine_as_test(
        GateBetweenBodies,
        settings=settings(
            max_examples=8,
            stateful_step_count=7,
            # Every step is a matter of real processes: what has failed is told as it is, not made smaller.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
