"""The seam between HTTP threads and the main loop.

HTTP threads see scenarios through these protocols and change nothing themselves: `launch` and `stop` are posted to the
loop, which owns the processes, and the calling thread waits for its answer. Reading never waits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from common.board import Recent
from common.counters import Counters
from common.current import SeriesValue
from common.errors import Cause, SondadError
from common.messages import Curve
from common.plan import EntryPlan, Plan, PlannedEntry
from common.states import State
from common.tuning import Change
from supervisor.journal.runs import Hole, Retuned


class Scenario(Protocol):
    """One launched entry; safe to read from any thread, also after its worker is gone."""

    @property
    def id(self) -> str:
        """UUID v4, lower-case, hyphenated."""
        ...

    @property
    def body_id(self) -> str:
        """The id of the first entry of the body that it came with."""
        ...

    @property
    def entry(self) -> PlannedEntry:
        """The entry as it runs now."""
        ...

    @property
    def scenario_name(self) -> str | None:
        """The name of the whole body, which must not run twice."""
        ...

    @property
    def launched_ns(self) -> int:
        """CLOCK_MONOTONIC in ns when the launch was accepted; elapsed time counts from here."""
        ...

    @property
    def first_state(self) -> State:
        """The state in which it was launched; what a POST answers, however fast its worker is."""
        ...

    @property
    def resolution(self) -> "Resolution | None":
        """How the gate's upstream in another body was looked for; None when it never had to be."""
        ...

    @property
    def exit_reason(self) -> str | None:
        """Why the worker ended, in words; None while it runs and after a normal end."""
        ...

    @property
    def holes(self) -> Sequence[Hole]:
        """The ticks that it has missed, oldest first."""
        ...

    @property
    def retunes(self) -> Sequence[Retuned]:
        """How it was changed while it ran, oldest first, as far as that is kept."""
        ...

    @property
    def earlier(self) -> Sequence[tuple[int, EntryPlan]]:
        """Plans of before, each with the tick at which its labels ended; oldest first, only the newest of them."""
        ...

    @property
    def restarts(self) -> int:
        """How often it went on in another worker because its own had gone."""
        ...

    @property
    def shares_worker(self) -> bool:
        """Whether its process has other scenarios too."""
        ...

    def counters(self) -> Counters:
        """Return one consistent state of the counters; after the worker is gone its last values, state FINISHED."""
        ...

    def drain(self) -> Recent:
        """Take all buffered samples; two concurrent calls never get the same sample."""
        ...

    def peek(self) -> Recent:
        """Return what `drain` would return, and leave the buffer alone."""
        ...

    def newest(self) -> Recent:
        """Return the newest samples, drained or not, and leave the buffer alone."""
        ...

    def current(self) -> list[SeriesValue]:
        """Return the newest value of each series, sorted by name and labels; the buffer has nothing to do with it."""
        ...

    def current_bytes(self) -> int:
        """Return about how long a text of `current` is, at most."""
        ...

    def run_lateness(self) -> NDArray[np.uint64]:
        """Return the buckets of `common.lateness` for the whole run: since its worker began."""
        ...

    def lateness(self, now_ns: int) -> NDArray[np.uint32] | None:
        """Return the buckets of `common.lateness` for the second before `now_ns`; None when no tick was fired in it."""
        ...


@dataclass(frozen=True, slots=True)
class Resolution:
    """A gate across bodies whose upstream was not there at some time.

    Attributes:
        registered_at_ns: when it was first waited for, wall clock.
        attempts: how often it was found.
    """

    registered_at_ns: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class StopResult:
    """How a scenario's worker ended.

    Attributes:
        status: `force_stopped` when the worker had to be killed.
        total_events: final count, read after the worker was gone.
    """

    status: Literal["stopped", "force_stopped"]
    total_events: int


@dataclass(frozen=True, slots=True)
class RetuneResult:
    """What a change has come to.

    Attributes:
        retuned: when it took effect; None when there was nothing to be changed.
    """

    retuned: Retuned | None


class NameConflict(SondadError):  # noqa: N818 - a conflict (409) is no failure of ours
    """The body's `scenario_name` is taken.

    Attributes:
        conflicting: the active scenarios of that name in launch order, those of a launch in progress included.
    """

    def __init__(self, scenario_name: str, conflicting: Sequence[Scenario]) -> None:
        super().__init__(f"scenario_name '{scenario_name}' is already running")
        self.conflicting = list(conflicting)


class CapacityError(SondadError):
    """There is no room for so many more scenarios.

    Attributes:
        scenarios: all scenarios in the map, finished ones included.
    """

    def __init__(self, scenarios: Sequence[Scenario], capacity: int) -> None:
        super().__init__(
            f"{len(scenarios)} scenarios active (max {capacity}); DELETE finished or stuck scenarios to free slots"
        )
        self.scenarios = scenarios


class LaunchError(SondadError):
    """The workers of a body could not be started; nothing of it remains. The text is short and fit for clients."""


class NotRunningError(SondadError):
    """A scenario that is to be changed, and has ended."""

    def __init__(self, scenario_id: str) -> None:
        super().__init__(f"scenario {scenario_id} is finished")


class EventError(SondadError):
    """A single event that was not delivered, as far as is known.

    Attributes:
        cause: whether the encoder can never take it, the destination did not take it, or something else went wrong.
    """

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message)
        self.cause = cause


class CallTimeoutError(SondadError):
    """The loop did not finish within the caller's time; a launch leaves nothing, a stop goes on by itself."""


class ControlPlane(Protocol):
    """What HTTP threads may ask; called from them only, never from the main thread."""

    def scenarios(self) -> Sequence[Scenario]:
        """Return all scenarios not yet deleted, in launch order; an immutable snapshot, never waits."""
        ...

    def scenario(self, scenario_id: str) -> Scenario | None:
        """Return the scenario of that id, or None; never waits."""
        ...

    def conflicts(self, scenario_name: str | None) -> list[Scenario]:
        """Return the active scenarios of that name in launch order; empty for None. Never waits."""
        ...

    def is_published(self, scenario_name: str, entry_id: str) -> bool:
        """Return whether gates of other bodies can watch this entry now; never waits."""
        ...

    def launch(self, plan: Plan, timeout_secs: float | None) -> list[Scenario]:
        """Start all entries of `plan` or none; returns them in entry order once all were started.

        Raises:
            NameConflict: the name is taken.
            CapacityError: there are too many scenarios.
            LaunchError: not all workers could be started.
            CallTimeoutError: `timeout_secs`, if any, were over first. The caller cancels its reply; the loop
                claims the reply right before it registers the scenarios, and undoes the launch when it was cancelled,
                so exactly one of the two happens.
        """
        ...

    def stop(self, scenario_id: str, timeout_secs: float) -> StopResult | None:
        """Remove the scenario at once, stop its worker and wait until it is gone, about 5 s at most.

        Returns:
            None when the id is unknown.

        Raises:
            CallTimeoutError: `timeout_secs` were over first; the worker is still stopped and reaped.
            LaunchError: the daemon is shutting down and takes no more requests.
        """
        ...

    def retune(
        self, scenario_id: str, change: Callable[[PlannedEntry], Change], timeout_secs: float
    ) -> RetuneResult | None:
        """Change a scenario at its next tick, and keep that; either it holds and is kept, or nothing has changed.

        Args:
            scenario_id: which.
            change: returns what is to change of the entry as it is; what it raises is raised.
            timeout_secs: how long the run may take to come to a tick.

        Returns:
            None when the id is unknown.

        Raises:
            NotRunningError: it has ended.
            CallTimeoutError: `timeout_secs` were over first; its sink may hold it up.
            LaunchError: the change cannot be kept, or the daemon is shutting down.
        """
        ...

    def deliver(self, entry: EntryPlan, timeout_secs: float) -> int:
        """Deliver the first event of `entry` by a worker, and wait for the destination's answer.

        Returns:
            Nanoseconds from encoding the event to the destination's answer.

        Raises:
            EventError: it was not delivered.
            CallTimeoutError: `timeout_secs` were over first; the delivery is broken off.
        """
        ...

    def preview(
        self, entries: Sequence[EntryPlan], horizon_secs: float, points: int, timeout_secs: float
    ) -> Sequence[Curve]:
        """Return what the first of `entries` would emit, computed by a worker; nothing is started or written.

        Args:
            entries: of one body.
            horizon_secs: how far from its start.
            points: into how many parts that is cut.
            timeout_secs: as of `deliver`.

        Raises:
            EventError: no worker could compute it.
            CallTimeoutError: `timeout_secs` were over first; the worker is killed.
        """
        ...
