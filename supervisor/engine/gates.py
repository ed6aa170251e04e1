"""Who watches whom: which entry's value opens the gate of which other, within a body and across bodies. Pure.

::

    launched ──upstream in the body, or running elsewhere──► wired ──upstream ends──► local: ends as well
        └── not running ──► waiting ──its body is posted──► wired          └─► across bodies: waiting again

Source: docs/states.md, "Gates" and "Across bodies".
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from common.plan import GatePlan
from supervisor.engine.scenarios import LaunchedScenario


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection between two workers.

    Attributes:
        wire_id: its number; never used again.
        upstream: whose value is watched.
        downstream: whose gate it opens.
        gate: the downstream's.
    """

    wire_id: int
    upstream: LaunchedScenario
    downstream: LaunchedScenario
    gate: GatePlan


@dataclass(frozen=True, slots=True)
class Severed:
    """What the end of a scenario leaves behind.

    Attributes:
        own: the wire to its upstream, which is still there, or None.
        lost: the wires to those that watched it.
    """

    own: Wire | None
    lost: list[Wire]


class Gates:
    """All wires of the daemon, and the entries that wait for one."""

    def __init__(self) -> None:
        self._slots = itertools.count()
        self._published: dict[tuple[str, str], LaunchedScenario] = {}
        self._waiting: dict[LaunchedScenario, GatePlan] = {}
        self._upwards: dict[LaunchedScenario, Wire] = {}
        self._downwards: dict[LaunchedScenario, list[Wire]] = {}

    def add(self, scenarios: Sequence[LaunchedScenario], wall_ns: int) -> list[Wire]:
        """Take in the entries of one body; return the wires to those of their upstreams that are there.

        Args:
            scenarios: all entries of the body.
            wall_ns: now, ns since the epoch.
        """
        of_body = {scenario.entry.plan.id: scenario for scenario in scenarios}
        wires = []
        for scenario in scenarios:
            gate = scenario.entry.plan.gate
            if gate is None or gate.upstream is not None:
                continue
            upstream = of_body[gate.ref] if gate.scenario_name is None else self._find(gate)
            if upstream is None:
                self._wait(scenario, gate, wall_ns)
            else:
                wires.append(self._wire(upstream, scenario, gate))
        for scenario in scenarios:
            plan = scenario.entry.plan
            if scenario.scenario_name is not None and plan.id is not None and plan.signal_type == "metrics":
                self._published[scenario.scenario_name, plan.id] = scenario
        return wires

    def resolve(self) -> list[Wire]:
        """Return wires for the waiting entries whose upstream is there by now, oldest first."""
        found = [(scenario, gate, self._find(gate)) for scenario, gate in self._waiting.items()]
        wires = []
        for scenario, gate, upstream in found:
            if upstream is not None:
                del self._waiting[scenario]
                scenario.resolved()
                wires.append(self._wire(upstream, scenario, gate))
        return wires

    def remove(self, scenario: LaunchedScenario, wall_ns: int) -> Severed:
        """Forget a scenario that has ended; those that watched it from another body wait again."""
        plan = scenario.entry.plan
        if scenario.scenario_name is not None and plan.id is not None:
            key = (scenario.scenario_name, plan.id)
            # A body of the same name may have been posted since this one was deleted.
            if self._published.get(key) is scenario:
                del self._published[key]
        self._waiting.pop(scenario, None)
        own = self._upwards.pop(scenario, None)
        if own is not None:
            self._downwards[own.upstream].remove(own)
        lost = self._downwards.pop(scenario, [])
        for wire in lost:
            del self._upwards[wire.downstream]
            if wire.gate.scenario_name is not None:
                self._wait(wire.downstream, wire.gate, wall_ns)
        return Severed(own, lost)

    def wires_of(self, scenario: LaunchedScenario) -> list[Wire]:
        """Return the wires of a scenario to both sides."""
        own = self._upwards.get(scenario)
        return [*([] if own is None else [own]), *self._downwards.get(scenario, [])]

    def is_wired(self, scenario: LaunchedScenario) -> bool:
        """Return whether a scenario has an upstream."""
        return scenario in self._upwards

    def _find(self, gate: GatePlan) -> LaunchedScenario | None:
        return None if gate.scenario_name is None else self._published.get((gate.scenario_name, gate.ref))

    def _wait(self, scenario: LaunchedScenario, gate: GatePlan, wall_ns: int) -> None:
        self._waiting[scenario] = gate
        scenario.wait_for_upstream(wall_ns)

    def _wire(self, upstream: LaunchedScenario, downstream: LaunchedScenario, gate: GatePlan) -> Wire:
        wire = Wire(next(self._slots), upstream, downstream, gate)
        self._upwards[downstream] = wire
        self._downwards.setdefault(upstream, []).append(wire)
        return wire
