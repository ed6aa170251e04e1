"""How a running scenario is changed, by the thread that asks: at its next tick and on the disk, or not at all.

::

    compile ──► the run stands still at a tick ──► journal ──► it goes on changed
                 │ not in time                      │ cannot be written
                 └──────────────────────────────────┴──► it goes on as it was
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from common.messages import Held
from common.plan import PlannedEntry
from common.states import State
from common.tuning import Change, Tuning
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, NotRunningError, RetuneResult
from supervisor.engine.keeping import Keeping
from supervisor.engine.retunes import Retunes
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.host.loop import Callback
from supervisor.journal.runs import Tuned

T = TypeVar("T")


class LoopCalls(Protocol):
    """Calls of the main loop from any thread."""

    def call(self, function: Callback, reply: "Future[T]") -> None:
        """Have the loop call `function`, which fills `reply`, now or later.

        Raises:
            LaunchError: the daemon is shutting down.
        """
        ...

    def result(self, reply: "Future[T]", timeout_secs: float | None) -> T:
        """Wait for a reply.

        Raises:
            TimeoutError: it has not come.
        """
        ...


class Changing:
    """Changes scenarios, one change of a scenario at a time.

    Args:
        loop: the main loop.
        retunes: where workers are asked and told.
        keeping: where changes are kept.
    """

    def __init__(self, loop: LoopCalls, retunes: Retunes, keeping: Keeping) -> None:
        self._loop = loop
        self._retunes = retunes
        self._keeping = keeping

    def change(
        self, scenario: LaunchedScenario, change: Callable[[PlannedEntry], Change], timeout_secs: float
    ) -> RetuneResult:
        """Change a scenario; see `ControlPlane.retune`."""
        deadline = time.monotonic() + timeout_secs
        if not scenario.changing.acquire(timeout=timeout_secs):
            raise CallTimeoutError(f"another change of the scenario has taken {timeout_secs:g} s")
        try:
            if scenario.counters().state == State.FINISHED:
                raise NotRunningError(scenario.id)
            wanted = change(scenario.entry)
            if not wanted.changes:
                return RetuneResult(None)
            held = self._hold(scenario, wanted.tuning, max(deadline - time.monotonic(), 0.0))
            try:
                tuned = self._keeping.retuned(scenario, wanted, held)
            except LaunchError:
                self._decide(scenario, None)
                raise
            self._decide(scenario, tuned)
            return RetuneResult(tuned.retunes[-1])
        finally:
            scenario.changing.release()

    def _hold(self, scenario: LaunchedScenario, tuning: Tuning, timeout_secs: float) -> Held:
        """Let a scenario stand still before a change; returns where it does."""
        reply: Future[Held] = Future()
        self._loop.call(partial(self._retunes.ask, scenario, tuning, reply), reply)
        try:
            return self._loop.result(reply, timeout_secs)
        except TimeoutError as exc:
            if not reply.cancel():
                return self._loop.result(reply, None)
            self._decide(scenario, None)
            raise CallTimeoutError(f"the scenario came to no tick within {timeout_secs:g} s") from exc

    def _decide(self, scenario: LaunchedScenario, tuned: Tuned | None) -> None:
        """Let a scenario go on; returns when its worker was told."""
        told: Future[None] = Future()

        def decide() -> None:
            self._retunes.decide(scenario, tuned)
            told.set_result(None)

        # While the daemon shuts down nobody goes on, and what is kept holds.
        with suppress(LaunchError):
            self._loop.call(decide, told)
            self._loop.result(told, None)
