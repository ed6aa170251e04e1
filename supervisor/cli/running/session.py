"""One plan on an engine of its own, from the launch to the last worker.

The first signal ends every entry, which flush what they have; the second one leaves at once. When nobody reads standard
output any more, the run ends like any program in front of `head`. Source: docs/command-line.md, "Signals".
"""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from common.counters import Counters
from common.digest import digest_of
from common.lateness import BUCKETS
from common.plan import EntryPlan, Plan, PlannedEntry
from common.sharing import SEPARATE, Sharing
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
        digest: of its events; None where none was made.
    """

    name: str
    target_rate: float
    counters: Counters
    elapsed_secs: float
    failure: str | None
    lateness: NDArray[np.uint64]
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run that is over.

    Attributes:
        entries: in file order.
        elapsed_secs: from the launch to the end of the last worker.
        interrupted: whether a signal ended it.
        abandoned: whether a second signal gave up what was not delivered yet.
        unread: whether the reader of standard output left.
        lost: what is missing in the figures, and why.
    """

    entries: tuple[Ended, ...]
    elapsed_secs: float
    interrupted: bool
    abandoned: bool
    unread: bool
    lost: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Why entries failed, in file order, and what was lost."""
        return [*(entry.failure for entry in self.entries if entry.failure is not None), *self.lost]


class Watched(Protocol):
    """An entry that runs, as far as it is shown."""

    @property
    def entry(self) -> PlannedEntry:
        """What it is."""
        ...

    @property
    def launched_ns(self) -> int:
        """CLOCK_MONOTONIC in ns from which elapsed time counts."""
        ...

    def counters(self) -> Counters:
        """Return what is known of it."""
        ...


class Spectator(Protocol):
    """Whoever shows a run."""

    def look(self, scenarios: Sequence[Watched], elapsed_secs: float) -> None:
        """Show what is; called every TICK_SECS and once at the end."""
        ...


class Running(Protocol):
    """What runs a plan."""

    def run(self, plan: Plan, spectator: Spectator) -> RunOutcome:
        """Run it to its end, once.

        Raises:
            CommandError: nothing was started.
        """
        ...

    def standing(self) -> Sequence[str]:
        """Return lines about where it runs, for a live screen."""
        ...


class Session:
    """Runs one plan; its engine starts at once, so that it is ready when the plan is.

    Args:
        sharing: which entries share a worker.

    Attributes:
        interrupted: whether a signal came.
    """

    def __init__(self, sharing: Sharing = SEPARATE) -> None:
        self._engine = Engine(spares=0, sharing=sharing)
        try:
            self._engine.warm_up()
        except LaunchError as exc:
            self._engine.close()
            raise CommandError(f"runtime error: {exc}") from exc
        self._spectator: Spectator | None = None
        self._scenarios: list[Scenario] = []
        self._writes_stdout = False
        self._leaving = False
        self.interrupted = False
        self._abandoned = False
        self._unread = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._engine.close()

    def wait_until_warm(self) -> None:
        """Wait until a run would begin at once."""
        self._engine.wait_until_warm()

    def run(self, plan: Plan, spectator: Spectator) -> RunOutcome:
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
        began_ns = min((scenario.launched_ns for scenario in self._scenarios), default=time.monotonic_ns())
        loop.every(TICK_SECS, lambda: self._tick(began_ns))
        engine.wait(self._scenarios)
        self._tick(began_ns)
        ended = tuple(_ended(scenario) for scenario in self._scenarios)
        if not self._scenarios:
            # A signal has come before anything was launched.
            ended = tuple(_unlaunched(entry.plan) for entry in plan.entries)
        elapsed_secs = max(time.monotonic_ns() - began_ns, 0) / _NS_PER_SEC
        return RunOutcome(ended, elapsed_secs, self.interrupted, self._abandoned, self._unread)

    def standing(self) -> Sequence[str]:
        """Return nothing: it runs here."""
        return ()

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
        if self._spectator is not None and not self._unread:
            self._spectator.look(self._scenarios, max(now_ns - began_ns, 0) / _NS_PER_SEC)


def is_over(scenario: Scenario) -> bool:
    """Return whether the worker of a scenario is gone."""
    return scenario.counters().state == State.FINISHED


def _ended(scenario: Scenario) -> Ended:
    counters, plan = scenario.counters(), scenario.entry.plan
    return Ended(
        name=plan.name,
        target_rate=plan.own_rate,
        counters=counters,
        elapsed_secs=max(counters.state_since_ns - scenario.launched_ns, 0) / _NS_PER_SEC,
        failure=None if scenario.exit_reason is None else failure_text(plan.name, scenario.exit_reason),
        lateness=scenario.run_lateness(),
        digest=digest_of(plan, counters),
    )


def _unlaunched(plan: EntryPlan) -> Ended:
    return Ended(plan.name, plan.own_rate, Counters(), 0.0, None, np.zeros(BUCKETS, np.uint64))


def failure_text(name: str, reason: str) -> str:
    """Return the reason of a scenario's end as the failure of a command."""
    # Whose failure it was is said; otherwise it is the process's own.
    return reason if reason.startswith(_CAUSES) else f"runtime error: scenario '{name}': {reason}"
