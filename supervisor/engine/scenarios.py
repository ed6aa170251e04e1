"""The scenario map: what was launched and not yet deleted, and who holds which name. Touches no process.

The main loop writes, HTTP threads read. What they read is one immutable snapshot that the loop replaces, so reading
takes no lock and never waits.
"""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.board import Recent, Row
from common.checkpoints import Resume
from common.counters import Counters
from common.current import CurrentValues, SeriesValue
from common.lateness import BUCKETS, Lateness
from common.messages import Run, Start
from common.plan import EntryPlan, Plan, PlannedEntry, without_recording
from common.states import State, check_transition
from supervisor.engine.control_plane import CapacityError, NameConflict, Resolution
from supervisor.journal.runs import MOST_RETUNES, Hole, KeptRun, Retuned, Tuned

_ELSEWHERE: Final = "the run was started elsewhere, and goes on here"


class LaunchedScenario:
    """One entry from its reservation on; implements `control_plane.Scenario`.

    Written by the main loop alone: `attach`, `start`, `freeze`, `detach`, in this order; `wait_for_upstream` and
    `resolved` take turns from before the start on, `retuned` comes at any time after it.

    Args:
        scenario_id: UUID v4.
        entry: what is to run.
        scenario_name: the name of the whole body.
        now_ns: monotonic time of the reservation.
        resume: how it goes on when it was interrupted; None for one that begins.
        origin: who has brought it.
        body_id: the id of the first scenario of its body; its own without one.

    Attributes:
        changing: held by whoever changes it or puts it into the journal.
        tuned: what it was changed to; None for one that never was.
    """

    def __init__(
        self,
        scenario_id: str,
        entry: PlannedEntry,
        scenario_name: str | None,
        now_ns: int,
        resume: Resume | None = None,
        origin: str = "",
        body_id: str = "",
    ) -> None:
        self.id = scenario_id
        self.body_id = body_id or scenario_id
        self.entry = entry
        self.scenario_name = scenario_name
        self.launched_ns = now_ns
        self.first_state = State.PENDING
        self.resolution: Resolution | None = None
        self.holes: tuple[Hole, ...] = ()
        self.exit_reason: str | None = None
        self.changing = threading.Lock()
        self.tuned: Tuned | None = None
        self.earlier: tuple[tuple[int, EntryPlan], ...] = ()
        self.restarts = 0
        self.shares_worker = False
        self.interruption: str | None = None
        self._is_moving = False
        self._keeps_checkpoints = False
        self._resume = resume
        self._recovered = None if resume is None else resume.checkpoint
        self._origin = origin
        self._row_index: int | None = None
        self._start_wall_ns = 0
        self._row: Row | None = None
        self._current: CurrentValues | None = None
        self._lateness: Lateness | None = None
        self._final: Counters | None = None
        self._newest_state = (int(State.PENDING), now_ns)
        self._started = False
        self._position = 0
        self._draining = threading.Lock()

    @classmethod
    def finished(cls, run: KeptRun, start_ns: int, now_ns: int) -> Self:
        """Return a scenario that an earlier daemon has seen end."""
        assert run.ended is not None  # noqa: S101 - it has ended
        scenario = cls(run.id, run.entry, run.scenario_name, start_ns, body_id=run.body_id)
        scenario.holes, scenario.tuned, scenario.exit_reason = run.holes, run.tuned, run.ended.reason
        scenario._final = msgspec.structs.replace(run.ended.counters, state=State.FINISHED, state_since_ns=now_ns)
        return scenario

    def command(self, *, keeps_checkpoints: bool) -> Run:
        """Return what its worker is told."""
        self._keeps_checkpoints = keeps_checkpoints
        return self.command_again(self._resume)

    def command_again(self, resume: Resume | None) -> Run:
        """Return what another worker is told, in which it goes on."""
        plan, keeps = self.entry.plan, self._keeps_checkpoints
        return Run(scenario_id=self.id, entry=plan, keeps_checkpoints=keeps, resume=resume)

    def moves(self) -> None:
        """Note that its worker is told to let go of it for another; it runs all the while."""
        self._is_moving = True

    def start_again(self) -> Start:
        """Return the start that it goes on from in another worker."""
        return Start(start_ns=self.launched_ns, wall_ns=self._start_wall_ns)

    def interrupted(self, reason: str) -> None:
        """Note that its worker has gone, and that it goes on in another."""
        self.restarts += 1
        self.interruption = reason

    def kept_run(self, body_id: str, entry: PlannedEntry) -> KeptRun:
        """Return what the journal is to know of it, with the whole entry, which was given to its worker."""
        return KeptRun(
            id=self.id,
            body_id=body_id,
            scenario_name=self.scenario_name,
            origin=self._origin,
            entry=entry,
            start_wall_ns=self._start_wall_ns,
            row=self._row_index,
            # It holds until its worker has kept one of its own.
            checkpoint=self._recovered,
            holes=self.holes,
            tuned=self.tuned,
        )

    def attach(self, row: Row, index: int, *, shares_worker: bool = False) -> None:
        """Give the scenario the row that its worker writes, and note whether that one has others too."""
        self._row_index = index
        self.shares_worker = shares_worker
        self._lateness = Lateness(row.view)
        if self.entry.plan.signal_type != "logs":
            self._current = CurrentValues(row.view, self.entry.plan)
        self._row = row

    def start(self, start: Start, *, keeps_recording: bool = False) -> None:
        """Note that the worker was told to start; it shows its first state a moment later.

        Args:
            start: the start.
            keeps_recording: whether another worker may need it.
        """
        self.launched_ns = start.start_ns
        self._start_wall_ns = start.wall_ns
        # The worker has its recording, up to 64 MB of it.
        plan = self.entry.plan if keeps_recording else without_recording(self.entry.plan)
        self.entry = msgspec.structs.replace(self.entry, plan=plan)
        was = None if self._resume is None or self._resume.checkpoint is None else self._resume.state
        self._resume = None
        if was is not None and plan.gate is not None:
            self._enter(was)
        elif not plan.phase_offset_ns and start.start_ns <= time.monotonic_ns():
            if plan.gate is None:
                self._enter(State.RUNNING)
            elif self.resolution is not None:
                self._enter(State.UNRESOLVED)
        self._started = True

    @property
    def retunes(self) -> tuple[Retuned, ...]:
        """How it was changed while it ran."""
        return () if self.tuned is None else self.tuned.retunes

    def retuned(self, tuned: Tuned) -> None:
        """Note that it goes on changed."""
        before, self.tuned = self.entry.plan, tuned
        self.entry = tuned.of(self.entry)
        if before.labels != self.entry.plan.labels:
            self.earlier = (*self.earlier, (tuned.retunes[-1].tick, before))[-MOST_RETUNES:]
            if self._row is not None and self._current is not None:
                self._current = CurrentValues(self._row.view, self.entry.plan)

    def wait_for_upstream(self, wall_ns: int) -> None:
        """Note that the upstream in another body is not there."""
        if self.resolution is None:
            self.resolution = Resolution(wall_ns)

    def resolved(self) -> None:
        """Note that the upstream that was waited for is there."""
        resolution = self.resolution
        assert resolution is not None  # noqa: S101 - it was waited for
        self.resolution = replace(resolution, attempts=resolution.attempts + 1)

    def freeze(self, exit_reason: str | None, now_ns: int) -> Counters:
        """Keep the counters as they are, state FINISHED: the worker is gone."""
        final = self._read()
        if final.state != State.FINISHED:
            check_transition(State(final.state), State.FINISHED)
            final = msgspec.structs.replace(final, state=State.FINISHED, state_since_ns=now_ns)
        self.exit_reason = exit_reason
        self._final = final
        return final

    def detach(self) -> None:
        """Let go of the row, which another scenario will get; nothing is buffered any more."""
        with self._draining:
            self._row = self._current = self._lateness = None

    def counters(self) -> Counters:
        """Return one consistent state of the counters; after the worker is gone its last values, state FINISHED.

        A worker that has finished its run is shown in the state before until it is gone: only then is the reason known.
        """
        counters = self._read()
        if counters.state != State.FINISHED:
            self._newest_state = counters.state, counters.state_since_ns
        elif counters is not self._final:
            counters.state, counters.state_since_ns = self._newest_state
        return counters

    def _read(self) -> Counters:
        row = self._row
        if self._final is not None:
            return self._final
        if row is None or not self._started:
            return Counters(state_since_ns=self.launched_ns)
        counters = row.read()
        if self._final is not None:
            # The worker is gone meanwhile, and the row may be another's already.
            return self._final
        if self._is_moving and counters.state == State.FINISHED:
            counters.state = State.RUNNING
        if not counters.state_since_ns:
            # Told to start, and the worker has not shown anything yet.
            counters.state = self.first_state
            counters.state_since_ns = self.launched_ns
        return counters

    def drain(self) -> Recent:
        """Take all buffered samples; two concurrent calls never get the same sample."""
        with self._draining:
            recent = self._recent(self._position)
            self._position = recent.position
            return recent

    def peek(self) -> Recent:
        """Return what `drain` would return, and leave the buffer alone."""
        with self._draining:
            return self._recent(self._position)

    def newest(self) -> Recent:
        """Return the newest samples, whoever has drained the buffer; leave it alone."""
        with self._draining:
            return self._recent(0)

    def current(self) -> list[SeriesValue]:
        """Return the newest value of each series, sorted by name and labels; the buffer has nothing to do with it."""
        current = self._current
        newest = [] if current is None else current.newest()
        # Let go of meanwhile, the row may be another's already.
        return newest if self._current is current else []

    def current_bytes(self) -> int:
        """Return about how long a text of `current` is, at most."""
        current = self._current
        return 0 if current is None else current.text_bytes()

    def lateness(self, now_ns: int) -> NDArray[np.uint32] | None:
        """Return how late the ticks of the second before `now_ns` were; None when there were none."""
        lateness = self._lateness
        counts = None if lateness is None else lateness.last_second(now_ns)
        return counts if self._lateness is lateness else None

    def run_lateness(self) -> NDArray[np.uint64]:
        """Return how late the ticks of the whole run were."""
        lateness = self._lateness
        counts = None if lateness is None else lateness.whole_run()
        return counts if counts is not None and self._lateness is lateness else np.zeros(BUCKETS, np.uint64)

    def _enter(self, state: State) -> None:
        """Note which state the worker will show first."""
        check_transition(self.first_state, state)
        self.first_state = state
        self._newest_state = int(state), self.launched_ns

    def _recent(self, position: int) -> Recent:
        if self._row is not None:
            return self._row.recent(position)
        return Recent(
            position=position,
            ticks=np.empty(0, np.uint64),
            stamps_ns=np.empty(0, np.int64),
            values=np.empty(0),
            series=np.empty(0, np.uint64),
        )


def scenarios_of(plan: Plan, now_ns: int) -> list[LaunchedScenario]:
    """Return new scenarios for the entries of a body, reserved at `now_ns` (monotonic)."""
    resume = Resume(checkpoint=None) if plan.resumes else None
    ids = [str(uuid.uuid4()) for _ in plan.entries]
    scenarios = [
        LaunchedScenario(own_id, entry, plan.scenario_name, now_ns, resume, plan.origin, ids[0])
        for own_id, entry in zip(ids, plan.entries, strict=True)
    ]
    if plan.resumes:
        for scenario in scenarios:
            scenario.interruption = _ELSEWHERE
    return scenarios


@dataclass(frozen=True, slots=True)
class _Snapshot:
    launched: dict[str, LaunchedScenario] = field(default_factory=dict)
    reserved: tuple[LaunchedScenario, ...] = ()


class ScenarioMap:
    """All scenarios in launch order, and the reservations of bodies being launched.

    Args:
        capacity: how many scenarios there may be, finished ones and reservations included; 0 is unlimited.
    """

    def __init__(self, capacity: int = 0) -> None:
        self._capacity = capacity
        self._snapshot = _Snapshot()

    def all(self) -> list[LaunchedScenario]:
        """Return every launched scenario, in launch order."""
        return list(self._snapshot.launched.values())

    def get(self, scenario_id: str) -> LaunchedScenario | None:
        """Return a launched scenario, or None."""
        return self._snapshot.launched.get(scenario_id)

    def active(self, scenario_name: str | None) -> list[LaunchedScenario]:
        """Return who holds the name, reservations last; nobody holds None."""
        if scenario_name is None:
            return []
        snapshot = self._snapshot
        return [
            scenario
            for scenario in (*snapshot.launched.values(), *snapshot.reserved)
            if scenario.scenario_name == scenario_name and scenario.counters().state != State.FINISHED
        ]

    def is_published(self, scenario_name: str, entry_id: str) -> bool:
        """Return whether an entry of that id runs in the body of that name and has values to be watched."""
        return any(
            scenario.scenario_name == scenario_name
            and scenario.entry.plan.id == entry_id
            and scenario.entry.plan.signal_type == "metrics"
            and scenario.counters().state != State.FINISHED
            for scenario in self._snapshot.launched.values()
        )

    def reserve(self, scenarios: Sequence[LaunchedScenario]) -> None:
        """Reserve name and places of one body.

        Raises:
            NameConflict: an active scenario has the name.
            CapacityError: there are not enough places.
        """
        name = scenarios[0].scenario_name
        conflicting = self.active(name)
        if name is not None and conflicting:
            raise NameConflict(name, conflicting)
        snapshot = self._snapshot
        if self._capacity and len(snapshot.launched) + len(snapshot.reserved) + len(scenarios) > self._capacity:
            raise CapacityError(list(snapshot.launched.values()), self._capacity)
        self._snapshot = _Snapshot(snapshot.launched, (*snapshot.reserved, *scenarios))

    def give_up(self, scenarios: Sequence[LaunchedScenario]) -> None:
        """Drop the reservation of a body that was not launched."""
        self._snapshot = _Snapshot(self._snapshot.launched, self._without(scenarios))

    def add(self, scenarios: Sequence[LaunchedScenario]) -> None:
        """Turn the reservation of a body into launched scenarios, all at once."""
        launched = {**self._snapshot.launched, **{scenario.id: scenario for scenario in scenarios}}
        self._snapshot = _Snapshot(launched, self._without(scenarios))

    def remove(self, scenario_id: str) -> LaunchedScenario | None:
        """Remove and return a launched scenario; None when there is none of that id."""
        launched = dict(self._snapshot.launched)
        scenario = launched.pop(scenario_id, None)
        self._snapshot = _Snapshot(launched, self._snapshot.reserved)
        return scenario

    def _without(self, scenarios: Sequence[LaunchedScenario]) -> tuple[LaunchedScenario, ...]:
        leaving = set(scenarios)
        return tuple(scenario for scenario in self._snapshot.reserved if scenario not in leaving)
