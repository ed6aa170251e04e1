"""A control plane without processes: real scenarios on a real board, their counters written by the test."""

import uuid
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.board import Board, Counters, Row
from common.current import CurrentValues
from common.plan import EntryPlan, Plan
from common.states import State
from supervisor.engine.control_plane import Scenario, StopResult
from supervisor.engine.gates import Gates
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap


class MemoryControlPlane:
    """Implements `supervisor.engine.control_plane.ControlPlane`; everything launched runs at once and does nothing.

    Attributes:
        rows: by scenario id, what a worker would write.
        launch_error: raised by the next launches, when set.
        delivered: single events, in order.
        event_error: raised by the next events, when set.
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
        self.stop_status: Literal["stopped", "force_stopped"] = "stopped"
        self.wall_ns = 0
        self._launched_ns = launched_ns
        self._map = ScenarioMap(capacity)
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
        launched = [
            LaunchedScenario(str(uuid.uuid4()), entry, plan.scenario_name, self._launched_ns) for entry in plan.entries
        ]
        self._map.reserve(launched)
        self._gates.add(launched, self.wall_ns)
        for scenario in launched:
            row = self._board.row(len(self.rows))
            self.rows[scenario.id] = row
            scenario.attach(row)
            scenario.start(self._launched_ns)
        self._map.add(launched)
        self._gates.resolve()
        return list(launched)

    def stop(self, scenario_id: str, timeout_secs: float) -> StopResult | None:
        scenario = self._map.remove(scenario_id)
        if scenario is not None:
            self._gates.remove(scenario, self.wall_ns)
        return scenario and StopResult(self.stop_status, scenario.counters().total_events)

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

    def show(self, scenario_id: str, counters: Counters) -> None:
        """Write what a worker would show."""
        self.rows[scenario_id].publish(counters)

    def finish(self, scenario_id: str, exit_reason: str | None = None) -> None:
        """End the scenario as if its worker was gone."""
        scenario = self._map.get(scenario_id)
        assert scenario is not None
        scenario.freeze(exit_reason, self._launched_ns)
        assert scenario.counters().state == State.FINISHED
