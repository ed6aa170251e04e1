"""One plan on an engine of its own, from the launch to the last worker.

The first signal ends every entry, which flush what they have; the second one leaves at once. When nobody reads standard
output any more, the run ends like any program in front of `head`. Source: docs/command-line.md, "Signals".
"""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from common.board import Counters
from common.lateness import BUCKETS
from common.plan import Plan
from common.specs import Stdout
from common.states import State
from supervisor.cli.failures import CommandError
from supervisor.engine import Engine
from supervisor.engine.control_plane import LaunchError, Scenario

TICK_SECS: Final = 0.2
_NS_PER_SEC: Final = 1_000_000_000
_FLUSH_SECS: Final = 3600.0
"""How long workers may deliver what they have: in practice as long as their sinks try, or until a second signal."""

_CAUSES: Final = ("sink error: ", "encoder error: ", "generator error: ")


@dataclass(frozen=True, slots=True)
class Ended:
    """An entry that has ended.

    Attributes:
        elapsed_secs: from the launch to its own end, its start delay included.
        failure: why it ended that should not have, in words.
        lateness: uint64[BUCKETS] of `common.lateness`, over the whole run.
    """

    name: str
    target_rate: float
    counters: Counters
    elapsed_secs: float
    failure: str | None
    lateness: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over.

    Attributes:
        entries: in file order.
        elapsed_secs: from the launch to the end of the last worker.
        interrupted: whether a signal ended it.
        abandoned: whether a second signal gave up what was not delivered yet.
        unread: whether the reader of standard output left.
    """

    entries: tuple[Ended, ...]
    elapsed_secs: float
    interrupted: bool
    abandoned: bool
    unread: bool

    @property
    def failures(self) -> list[str]:
        """Why entries failed, in file order."""
        return [entry.failure for entry in self.entries if entry.failure is not None]


class Spectator(Protocol):
    """Whoever shows a run."""

    def look(self, scenarios: Sequence[Scenario], elapsed_secs: float) -> None:
        """Show what is; called every TICK_SECS and once at the end."""
        ...


@dataclass(slots=True)
class _Measured:
    lateness: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(BUCKETS, np.uint64))
    second: int = 0


class Session:
    """Runs one plan; its engine starts at once, so that it is ready when the plan is.

    Attributes:
        interrupted: whether a signal came.
    """

    def __init__(self) -> None:
        self._engine = Engine(spares=0)
        try:
            self._engine.warm_up()
        except LaunchError as exc:
            self._engine.close()
            raise CommandError(f"runtime error: {exc}") from exc
        self._spectator: Spectator | None = None
        self._scenarios: list[Scenario] = []
        self._measured: list[_Measured] = []
        self._writes_stdout = False
        self._leaving = False
        self.interrupted = False
        self._abandoned = False
        self._unread = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._engine.close()

    def run(self, plan: Plan, spectator: Spectator) -> Outcome:
        """Launch every entry and wait for all of them; callable on the main thread, once.

        Raises:
            CommandError: nothing was launched.
        """
        engine, loop = self._engine, self._engine.loop
        self._spectator = spectator
        self._writes_stdout = any(isinstance(entry.plan.sink, Stdout) for entry in plan.entries)
        loop.catch_signals(self._signalled)
        loop.catch_signals(self._hung_up, (signal.SIGHUP,))
        try:
            self._scenarios = engine.launch(plan)
        except LaunchError as exc:
            if not self._leaving:
                raise CommandError(f"runtime error: {exc}") from exc
        self._measured = [_Measured() for _ in self._scenarios]
        began_ns = min((scenario.launched_ns for scenario in self._scenarios), default=time.monotonic_ns())
        loop.every(TICK_SECS, lambda: self._tick(began_ns))
        engine.wait(self._scenarios)
        self._tick(began_ns)
        ended = tuple(
            self._ended(scenario, measured) for scenario, measured in zip(self._scenarios, self._measured, strict=True)
        )
        elapsed_secs = (time.monotonic_ns() - began_ns) / _NS_PER_SEC
        return Outcome(ended, elapsed_secs, self.interrupted, self._abandoned, self._unread)

    def stop(self) -> None:
        """End every entry, on the loop; returns at once."""
        if not self._leaving:
            self._leaving = True
            self._engine.shut_down(_FLUSH_SECS, lambda: None)

    def _signalled(self) -> None:
        if self.interrupted:
            self._abandoned = True
            self._engine.kill_all()
            return
        self.interrupted = True
        self.stop()

    def _hung_up(self) -> None:
        """Stop as for any signal; a terminal that closes may say so twice."""
        if not self.interrupted:
            self._signalled()

    def _tick(self, began_ns: int) -> None:
        now_ns = time.monotonic_ns()
        if self._writes_stdout and self._engine.figures().stdout_closed:
            self._unread = True
            self.stop()
        for scenario, measured in zip(self._scenarios, self._measured, strict=True):
            second = now_ns // _NS_PER_SEC
            if second != measured.second:
                measured.second = second
                _add(measured, scenario.lateness(now_ns))
        if self._spectator is not None and not self._unread:
            self._spectator.look(self._scenarios, (now_ns - began_ns) / _NS_PER_SEC)

    def _ended(self, scenario: Scenario, measured: _Measured) -> Ended:
        counters = scenario.counters()
        # The second that the entry ended in was not over yet.
        now_ns = time.monotonic_ns()
        if now_ns // _NS_PER_SEC != measured.second:
            _add(measured, scenario.lateness(now_ns))
        _add(measured, scenario.lateness(now_ns + _NS_PER_SEC))
        plan = scenario.entry.plan
        return Ended(
            name=plan.name,
            target_rate=plan.rate,
            counters=counters,
            elapsed_secs=max(counters.state_since_ns - scenario.launched_ns, 0) / _NS_PER_SEC,
            failure=None if scenario.exit_reason is None else _failure(plan.name, scenario.exit_reason),
            lateness=measured.lateness,
        )


def is_over(scenario: Scenario) -> bool:
    """Return whether the worker of a scenario is gone."""
    return scenario.counters().state == State.FINISHED


def _add(measured: _Measured, counts: NDArray[np.uint32] | None) -> None:
    if counts is not None:
        measured.lateness += counts


def _failure(name: str, reason: str) -> str:
    # Whose failure it was is said; otherwise it is the process's own.
    return reason if reason.startswith(_CAUSES) else f"runtime error: scenario '{name}': {reason}"
