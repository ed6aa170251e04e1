"""A control plane without processes: real scenarios on a real board, their counters written by the test."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.board import Board, Row
from common.clock import SystemClock
from common.counters import Counters
from common.current import CurrentValues
from common.messages import Curve, Held, Preview, Start
from common.plan import EntryPlan, Plan, PlannedEntry, ValueOrigin
from common.states import State
from common.tuning import Change
from supervisor.engine.control_plane import NotRunningError, RetuneResult, Scenario, StopResult
from supervisor.engine.gates import Gates
from supervisor.engine.keeping import Keeping
from supervisor.engine.scenarios import ScenarioMap, scenarios_of
from worker.preview import preview


class MemoryControlPlane:
    """Implements `supervisor.engine.control_plane.ControlPlane`; everything launched runs at once and does nothing.

    Attributes:
        rows: by scenario id, what a worker would write.
        launch_error: raised by the next launches, when set.
        delivered: single events, in order.
        event_error: raised by the next events and previews, when set.
        preview_timeout_secs: how long the last preview might take.
        event_latency_ns: what the next events take.
        stop_status: what stopping says.
        wall_ns: when gates are wired and lose their upstreams.
    """

    def __init__(self, capacity: int = 0, launched_ns: int = 0) -> None:
        self.rows: dict[str, Row] = {}
        self.launch_error: Exception | None = None
        self.delivered: list[EntryPlan] = []
        self.event_error: Exception | None = None
        self.event_latency_ns = 0
        self.preview_timeout_secs = 0.0
        self.stop_status: Literal["stopped", "force_stopped"] = "stopped"
        self.wall_ns = 0
        self._launched_ns = launched_ns
        self._map = ScenarioMap(capacity)
        self._keeping = Keeping(self._map)
        self._gates = Gates()
        self._board = Board(256)

    def scenarios(self) -> Sequence[Scenario]:
        return self._map.all()

    def scenario(self, scenario_id: str) -> Scenario | None:
        return self._map.get(scenario_id)

    def conflicts(self, scenario_name: str | None) -> list[Scenario]:
        return list(self._map.active(scenario_name))

    def is_published(self, scenario_name: str, entry_id: str) -> bool:
        return self._map.is_published(scenario_name, entry_id)

    def launch(self, plan: Plan, timeout_secs: float | None) -> list[Scenario]:
        if self.launch_error is not None:
            raise self.launch_error
        if not plan.entries:
            return []
        launched = scenarios_of(plan, self._launched_ns)
        self._map.reserve(launched)
        self._gates.add(launched, self.wall_ns)
        for scenario in launched:
            row = self._board.row(len(self.rows))
            self.rows[scenario.id] = row
            scenario.attach(row, len(self.rows))
            scenario.start(Start(start_ns=self._launched_ns, wall_ns=self.wall_ns))
        self._map.add(launched)
        self._gates.resolve()
        return list(launched)

    def stop(self, scenario_id: str, timeout_secs: float) -> StopResult | None:
        scenario = self._map.remove(scenario_id)
        if scenario is not None:
            self._gates.remove(scenario, self.wall_ns)
        return scenario and StopResult(self.stop_status, scenario.counters().total_events)

    def retune(
        self, scenario_id: str, change: Callable[[PlannedEntry], Change], timeout_secs: float
    ) -> RetuneResult | None:
        """Change the scenario before the tick behind the last that was shown."""
        scenario = self._map.get(scenario_id)
        if scenario is None:
            return None
        if scenario.counters().state == State.FINISHED:
            raise NotRunningError(scenario_id)
        wanted = change(scenario.entry)
        if not wanted.changes:
            return RetuneResult(None)
        tick = scenario.counters().next_tick
        held = Held(
            scenario_id=scenario_id,
            number=1,
            tick=tick,
            stamp_ns=self.wall_ns,
            origin=ValueOrigin(tick),
            segment_ns=0,
            segment_tick=tick,
            cycle_shift_ns=0,
        )
        tuned = self._keeping.retuned(scenario, wanted, held)
        scenario.retuned(tuned)
        return RetuneResult(tuned.retunes[-1])

    def emit(
        self, scenario_id: str, first_tick: int, stamps_ns: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        """Write the samples of ticks that a worker has delivered."""
        scenario = self._map.get(scenario_id)
        assert scenario is not None
        row = self.rows[scenario_id]
        row.append_samples(first_tick, stamps_ns, values)
        CurrentValues(row.view, scenario.entry.plan).put(first_tick, values, 0)

    def deliver(self, entry: EntryPlan, timeout_secs: float) -> int:
        self.delivered.append(entry)
        if self.event_error is not None:
            raise self.event_error
        return self.event_latency_ns

    def preview(
        self, entries: Sequence[EntryPlan], horizon_secs: float, points: int, timeout_secs: float
    ) -> Sequence[Curve]:
        self.preview_timeout_secs = timeout_secs
        if self.event_error is not None:
            raise self.event_error
        asked = Preview(entries=tuple(entries), horizon_ns=round(horizon_secs * 1e9), points=points)
        return preview(asked, SystemClock())

    def show(self, scenario_id: str, counters: Counters) -> None:
        """Write what a worker would show."""
        self.rows[scenario_id].publish(counters)

    def finish(self, scenario_id: str, exit_reason: str | None = None) -> None:
        """End the scenario as if its worker was gone."""
        scenario = self._map.get(scenario_id)
        assert scenario is not None
        scenario.freeze(exit_reason, self._launched_ns)
        assert scenario.counters().state == State.FINISHED
