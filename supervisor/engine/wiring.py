"""Gates between worker processes: hands out bells and tells both sides. Main thread only.

An edge goes from worker to worker, by the bell and the board; the supervisor is not on its way.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping

from common.errors import WireError
from common.messages import Follow, Lose, Unwatch, Watch
from supervisor.engine.gates import Gates, Wire
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.workers import Worker

logger = logging.getLogger(__name__)


class Wiring:
    """The wires between the workers of all running scenarios.

    Args:
        on_broken: called with a worker that cannot be told about its gate although it is there, and why.
    """

    def __init__(self, on_broken: Callable[[Worker, str], None]) -> None:
        self._gates = Gates()
        self._workers: dict[LaunchedScenario, Worker] = {}
        self._on_broken = on_broken

    def add(self, body: Mapping[Worker, LaunchedScenario], scenarios: list[LaunchedScenario]) -> None:
        """Connect the entries of a body to their upstreams, before they are started.

        Args:
            body: the body's workers.
            scenarios: its entries in order.
        """
        self._workers.update((scenario, worker) for worker, scenario in body.items())
        self._connect(self._gates.add(scenarios, time.time_ns()))

    def move(self, scenario: LaunchedScenario, worker: Worker) -> None:
        """Connect a scenario again that goes on in another worker."""
        self._workers[scenario] = worker
        wires = self._gates.wires_of(scenario)
        for wire in wires:
            if wire.upstream is not scenario:
                self._tell(wire.upstream, Unwatch(wire_id=wire.wire_id))
        self._connect(wires)
        gate = scenario.entry.plan.gate
        is_local = gate is not None and gate.scenario_name is None and gate.upstream is None
        if is_local and not self._gates.is_wired(scenario):
            # Its upstream has ended meanwhile.
            self._tell(scenario, Lose())

    def resolve(self) -> None:
        """Connect the entries that have waited for what is running now."""
        self._connect(self._gates.resolve())

    def remove(self, scenario: LaunchedScenario) -> None:
        """Tell every worker concerned that `scenario` has ended; nothing happens when it was not added."""
        self._workers.pop(scenario, None)
        severed = self._gates.remove(scenario, time.time_ns())
        if severed.own is not None:
            self._tell(severed.own.upstream, Unwatch(wire_id=severed.own.wire_id))
        for wire in severed.lost:
            self._tell(wire.downstream, Lose())
        if any(wire.gate.scenario_name is not None for wire in severed.lost):
            # A body of the same name may have been posted while this one was still stopping.
            self.resolve()

    def _connect(self, wires: Iterable[Wire]) -> None:
        for wire in wires:
            try:
                bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            except OSError as exc:
                self._on_broken(self._workers[wire.downstream], f"killed: its gate cannot be wired: {exc}")
                continue
            watch = Watch(wire_id=wire.wire_id, op=wire.gate.op, value=wire.gate.value)
            follow = Follow(row=self._workers[wire.upstream].row)
            try:
                self._tell(wire.upstream, watch, bell)
                self._tell(wire.downstream, follow, bell)
            finally:
                os.close(bell)

    def _tell(
        self, scenario: LaunchedScenario, command: Watch | Unwatch | Follow | Lose, bell: int | None = None
    ) -> None:
        worker = self._workers[scenario]
        try:
            if bell is None:
                worker.send(command)
            else:
                worker.send_with_descriptor(command, bell)
        except WireError as exc:
            logger.debug("cannot tell a worker about its gate: %s", exc)
            # One that is gone is seen to end; one that is there would go on as if nothing had happened.
            if not isinstance(exc.__cause__, ConnectionError):
                self._on_broken(worker, f"killed: it cannot be told about its gate: {exc}")
