"""The scenario map: what was launched and not yet deleted, and who holds which name. Touches no process.

The main loop writes, HTTP threads read. What they read is one immutable snapshot that the loop replaces, so reading
takes no lock and never waits.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.board import Counters, Recent, Row
from common.current import CurrentValues, SeriesValue
from common.lateness import Lateness
from common.plan import PlannedEntry, without_recording
from common.states import State, check_transition
from supervisor.engine.control_plane import CapacityError, NameConflict, Resolution


class LaunchedScenario:
    """One entry from its reservation on; implements `control_plane.Scenario`.

    Written by the main loop alone: `attach`, `start`, `freeze`, `detach`, in this order; `wait_for_upstream` and
    `resolved` take turns from before the start on.

    Args:
        scenario_id: UUID v4.
        entry: what is to run.
        scenario_name: the name of the whole body.
        now_ns: monotonic time of the reservation.
    """

    def __init__(self, scenario_id: str, entry: PlannedEntry, scenario_name: str | None, now_ns: int) -> None:
        self.id = scenario_id
        self.entry = entry
        self.scenario_name = scenario_name
        self.launched_ns = now_ns
        self.first_state = State.PENDING
        self.resolution: Resolution | None = None
        self.exit_reason: str | None = None
        self._row: Row | None = None
        self._current: CurrentValues | None = None
        self._lateness: Lateness | None = None
        self._final: Counters | None = None
        self._started = False
        self._position = 0
        self._draining = threading.Lock()

    def attach(self, row: Row) -> None:
        """Give the scenario the row that its worker writes."""
        self._lateness = Lateness(row.view)
        if self.entry.plan.signal_type != "logs":
            self._current = CurrentValues(row.view, self.entry.plan)
        self._row = row

    def start(self, start_ns: int) -> None:
        """Note that the worker was told to start; it shows its first state a moment later."""
        self.launched_ns = start_ns
        # The worker has its recording, up to 64 MB of it.
        plan = without_recording(self.entry.plan)
        self.entry = msgspec.structs.replace(self.entry, plan=plan)
        if not plan.phase_offset_ns:
            if plan.gate is None:
                self._enter(State.RUNNING)
            elif self.resolution is not None:
                self._enter(State.UNRESOLVED)
        self._started = True

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
        final = self.counters()
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
        """Return one consistent state of the counters; after the worker is gone its last values, state FINISHED."""
        row = self._row
        if self._final is not None:
            return self._final
        if row is None or not self._started:
            return Counters(state_since_ns=self.launched_ns)
        counters = row.read()
        if self._final is not None:
            # The worker is gone meanwhile, and the row may be another's already.
            return self._final
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

    def current(self) -> list[SeriesValue]:
        """Return the newest value of each series, sorted by name and labels; the buffer has nothing to do with it."""
        current = self._current
        newest = [] if current is None else current.newest()
        # Let go of meanwhile, the row may be another's already.
        return newest if self._current is current else []

    def lateness(self, now_ns: int) -> NDArray[np.uint32] | None:
        """Return how late the ticks of the second before `now_ns` were; None when there were none."""
        lateness = self._lateness
        counts = None if lateness is None else lateness.last_second(now_ns)
        return counts if self._lateness is lateness else None

    def _enter(self, state: State) -> None:
        """Note which state the worker will show first."""
        check_transition(self.first_state, state)
        self.first_state = state

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
