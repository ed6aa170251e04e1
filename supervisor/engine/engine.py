"""The engine as its users hold it: launches compiled plans, stops scenarios, tells what they do.

::

    with Engine() as engine:
        (scenario,) = engine.launch(plan)
        engine.wait()
        print(scenario.counters().total_events)

The thread that makes an engine owns its loop. A call from that thread turns the loop until the answer is there; a call
from any other thread is posted to the loop, which then has to be turned by its owner (`run`, or any call that waits).
Reading never waits.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

import numpy as np

from common.board import Board
from common.checkpoints import Checkpoints
from common.errors import StartupError, os_error_text
from common.forking import SharedFiles
from common.lateness import BUCKETS, quantile_secs
from common.messages import Curve, Emit, Emitted, Errand, ErrandResult, Preview, Previewed
from common.plan import EntryPlan, Plan, PlannedEntry
from common.sharing import SEPARATE, Sharing
from common.tuning import Change
from supervisor.engine.changing import Changing
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, RetuneResult, Scenario, StopResult
from supervisor.engine.emissions import EmissionReply
from supervisor.engine.figures import Figures
from supervisor.engine.fleet import Fleet
from supervisor.engine.keeping import InterruptedBody, Keeping
from supervisor.engine.pacing import Overload, Pacing
from supervisor.engine.pool import Pool
from supervisor.engine.replies import refuse
from supervisor.engine.scenarios import ScenarioMap
from supervisor.engine.spawn import Door
from supervisor.engine.wakeups import MAX_SLACK_NS, WakeupBudget
from supervisor.host.limits import DEFAULT_WAKEUPS_PER_CORE, shortage_for_one, usable_cores
from supervisor.host.loop import Callback, Loop
from supervisor.host.processors import ProcessorTime
from supervisor.journal.directory import StateDirectory

BOARD_ROWS: Final = 16_384
GRACE_SECS: Final = 4.5
"""What workers get to deliver what they have before they are killed."""

_REAP_SECS: Final = 0.5
_BEAT_SECS: Final = 1.0
_SILENT_SECS: Final = 3.0
_MOST_TICKS: Final = 0.9
_LOOKED_AT: Final = 250
"""The lateness of so many scenarios stands for that of all."""

T = TypeVar("T")


class Engine:
    """Scenarios and the workers that run them; implements `control_plane.ControlPlane`.

    Needs no server, no signal handler and no other thread. Everything stops at the end of a `with` block.

    Args:
        loop: to turn instead of a loop of its own; the engine's from now on.
        rows: how many workers there may be at once, spares and those of finished scenarios included.
        capacity: how many scenarios there may be, finished ones included; 0 is unlimited.
        wakeups_per_core: wake-ups per second of all workers together, per usable core.
        spares: how many warm workers wait for a plan when nothing else is to be done; None is twice the usable cores,
            4 at least. With 0 workers are started only for what is launched.
        starting_limit: how many workers may be starting at once; None is the number of usable cores.
        max_slack_ns: how late ticks may be fired together with others, at most.
        worker_memory_bytes: how much memory of its own a worker may use; 0 is unlimited.
        sharing: which entries share a worker.
        state: where runs are kept so that they can go on after this process; None keeps nothing.
        on_first_ready: called once on the loop, when the first worker waits for a plan.

    Attributes:
        loop: what the owning thread waits with; timers and descriptors of the engine's user may hang there too.
    """

    def __init__(
        self,
        *,
        loop: Loop | None = None,
        rows: int = BOARD_ROWS,
        capacity: int = 0,
        wakeups_per_core: float = DEFAULT_WAKEUPS_PER_CORE,
        spares: int | None = None,
        starting_limit: int | None = None,
        max_slack_ns: int = MAX_SLACK_NS,
        worker_memory_bytes: int = 0,
        sharing: Sharing = SEPARATE,
        state: StateDirectory | None = None,
        on_first_ready: Callback = lambda: None,
    ) -> None:
        cores = usable_cores()
        self.loop = loop or Loop()
        self._owner = threading.get_ident()
        self._board = Board(rows)
        self._scenarios = ScenarioMap(capacity)
        self._keeping = Keeping(self._scenarios, None if state is None else state.journal)
        try:
            self._checkpoints = Checkpoints(self._board.rows, None if state is None else state.checkpoints)
        except OSError as exc:
            raise StartupError(f"there is no room for the checkpoints of scenarios: {os_error_text(exc)}") from exc
        files = SharedFiles(self._board.descriptor, self._checkpoints.descriptor)
        self._door = Door(self.loop, files, worker_memory_bytes)
        self._pool = Pool(
            self._door.start,
            shortage_for_one,
            rows=self._board.rows,
            spares_wanted=max(4, 2 * cores) if spares is None else spares,
            starting_limit=starting_limit or cores,
        )
        budget = WakeupBudget(wakeups_per_core * cores, max_slack_ns)
        self._pacing = Pacing(self._board, budget, Overload(max_slack_ns))
        self._processors = ProcessorTime()
        self._fleet = Fleet(
            self.loop,
            self._board,
            self._pool,
            self._scenarios,
            self._pacing,
            on_first_ready,
            sharing,
            self._keeping,
            self._checkpoints,
        )
        self._changing = Changing(self, self._fleet.retunes, self._keeping)
        self._closed = False
        self._turned_ns = time.monotonic_ns()
        self._pids: tuple[int, ...] = ()
        self.loop.every(_BEAT_SECS, self._beat)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def warm_up(self) -> None:
        """Start what forks the workers, so that the first launch need not wait for it; returns at once.

        Raises:
            LaunchError: it cannot be started.
        """
        self._door.open()

    def wait_until_warm(self) -> None:
        """Turn the loop until what forks the workers is ready or has failed; for the owning thread."""
        self._turn(lambda: not self._door.is_opening, None)

    def scenarios(self) -> list[Scenario]:
        """Return all scenarios not yet removed by `stop`, in launch order."""
        return list(self._scenarios.all())

    def scenario(self, scenario_id: str) -> Scenario | None:
        """Return the scenario of that id, or None."""
        return self._scenarios.get(scenario_id)

    def conflicts(self, scenario_name: str | None) -> list[Scenario]:
        """Return who holds the name."""
        return list(self._scenarios.active(scenario_name))

    def is_published(self, scenario_name: str, entry_id: str) -> bool:
        """Return whether gates of other bodies can watch this entry now."""
        return self._scenarios.is_published(scenario_name, entry_id)

    def figures(self) -> Figures:
        """Return what the engine knows about itself; callable from any thread."""
        free, tally = self._pool.free_rows, self._fleet.tally
        return Figures(
            starting=len(self._pool.starting),
            spare=len(self._pool.spares),
            running=tally.running,
            pids=self._pids,
            endings=tally.endings,
            totals=tally.totals(),
            started_total=self._pool.started_total,
            slack_ns=self._board.slack_ns(),
            overloaded=self._pacing.overloaded,
            restarts_total=self._fleet.restarts.total,
            moves_total=self._fleet.restarts.moves_total,
            rows_used=self._board.rows - free,
            rows_free=free,
            stdout_closed=tally.stdout_closed,
        )

    def launch(self, plan: Plan, timeout_secs: float | None = None) -> list[Scenario]:
        """Start all entries of `plan` or none; see the protocol."""
        if not plan.entries:
            return []
        reply: Future[list[Scenario]] = Future()
        self.call(partial(self._fleet.launch, plan, reply), reply)
        try:
            scenarios = self.result(reply, timeout_secs)
        except TimeoutError as exc:
            if not reply.cancel():
                return self._kept(plan.entries, self.result(reply, None))
            self.loop.post(partial(self._fleet.abandon, reply))
            raise CallTimeoutError(f"the workers were not ready within {timeout_secs:g} s") from exc
        return self._kept(plan.entries, scenarios)

    def resume(self, body: InterruptedBody) -> list[Scenario]:
        """Let runs of the state directory go on that were started at one instant; returns those that do.

        Raises:
            LaunchError: they cannot go on now, and stay in the journal.
        """
        reply: Future[list[Scenario]] = Future()
        self.call(partial(self._fleet.resume, body, reply), reply)
        runs = [run for run, _ in body.runs]
        if not runs:
            return []
        scenarios = self.result(reply, None)
        self._keeping.launched(runs[0].body_id, [run.entry for run in runs], scenarios)
        return scenarios

    def stop(self, scenario_id: str, timeout_secs: float | None = None) -> StopResult | None:
        """Remove the scenario at once and wait until its worker is gone; see the protocol."""
        reply: Future[StopResult | None] = Future()
        self.call(partial(self._fleet.stop, scenario_id, reply), reply)
        try:
            return self.result(reply, timeout_secs)
        except TimeoutError as exc:
            raise CallTimeoutError(f"the worker was not gone within {timeout_secs:g} s") from exc
        finally:
            self._keeping.removed(scenario_id)

    def retune(
        self, scenario_id: str, change: Callable[[PlannedEntry], Change], timeout_secs: float
    ) -> RetuneResult | None:
        """Change a scenario at its next tick, and keep that; see the protocol."""
        scenario = self._scenarios.get(scenario_id)
        return None if scenario is None else self._changing.change(scenario, change, timeout_secs)

    def deliver(self, entry: EntryPlan, timeout_secs: float | None = None) -> int:
        """Deliver the first event of `entry` and wait for the destination's answer; see the protocol."""
        outcome = self._ask_spare(Emit(entry=entry), timeout_secs, "the event was not delivered")
        assert isinstance(outcome, Emitted)  # noqa: S101 - what an event is answered with
        return outcome.latency_ns

    def preview(
        self, entries: Sequence[EntryPlan], horizon_secs: float, points: int, timeout_secs: float | None = None
    ) -> Sequence[Curve]:
        """Return what `entries` would emit; see the protocol."""
        asked = Preview(entries=tuple(entries), horizon_ns=round(horizon_secs * 1e9), points=points)
        outcome = self._ask_spare(asked, timeout_secs, "the values were not computed")
        assert isinstance(outcome, Previewed)  # noqa: S101 - what a preview is answered with
        return outcome.curves

    def _ask_spare(self, command: Errand, timeout_secs: float | None, failure: str) -> ErrandResult:
        reply: EmissionReply = Future()
        self.call(partial(self._fleet.ask_spare, command, reply), reply)
        try:
            return self.result(reply, timeout_secs)
        except TimeoutError as exc:
            if not reply.cancel():
                return self.result(reply, None)
            self.loop.post(partial(self._fleet.emissions.abandon, reply))
            raise CallTimeoutError(f"{failure} within {timeout_secs:g} s") from exc

    def wait(self, scenarios: Iterable[Scenario] | None = None, timeout_secs: float | None = None) -> bool:
        """Turn the loop until scenarios have ended and their workers are gone; for the owning thread.

        Args:
            scenarios: which; None is every one that runs.
            timeout_secs: how long at most; None waits for ever.

        Returns:
            Whether all of them have ended.
        """
        wanted = None if scenarios is None else frozenset(scenarios)
        return self._turn(lambda: not self._fleet.running(wanted), timeout_secs)

    def run(self) -> None:
        """Turn the loop until it is stopped; for the owning thread."""
        self.loop.run(self._fleet.reconcile)

    def overloaded(self) -> bool:
        """Return whether the machine cannot keep up, so that ticks are late; callable from any thread."""
        return self._pacing.overloaded

    def silent_secs(self) -> float:
        """Return for how long the loop has not turned, 0 while it does; callable from any thread."""
        silent = (time.monotonic_ns() - self._turned_ns) / 1e9
        return silent if silent > _SILENT_SECS else 0.0

    def discard_stdout(self) -> None:
        """Let stdout sinks discard from now on: nobody reads stdout any more. On the loop."""
        self._fleet.parking.discard_stdout()

    def shut_down(self, grace_secs: float, on_empty: Callback) -> None:
        """Ask every worker to exit and kill what is left after `grace_secs`; on the loop, returns at once.

        Args:
            grace_secs: for delivering what was generated.
            on_empty: called on the loop when all workers are gone.
        """
        self._fleet.shut_down(grace_secs, on_empty)

    def kill_all(self) -> None:
        """Kill every worker that is still there; on the loop."""
        self._fleet.kill_all()

    def close(self, grace_secs: float = GRACE_SECS) -> None:
        """Stop everything, wait until it is gone, and take no more calls; for the owning thread.

        Where `shut_down` was called before, its time is over: what is left is killed.
        """
        if self._closed:
            return
        self._closed = True
        if self._fleet.leaving:
            self._fleet.kill_all()
        else:
            gone = threading.Event()
            self._fleet.shut_down(grace_secs, gone.set)
            self._turn(gone.is_set, grace_secs + _REAP_SECS)
        self.loop.refuse_posts()
        # Last of all: it reaps the others.
        self._door.close()
        self.loop.close()

    def _kept(self, entries: Sequence[PlannedEntry], scenarios: list[Scenario]) -> list[Scenario]:
        """Return the scenarios of a body when it is in the journal; otherwise none of it remains."""
        try:
            self._keeping.launched(scenarios[0].id, entries, scenarios)
        except LaunchError:
            for scenario in scenarios:
                self.stop(scenario.id)
            raise
        return scenarios

    def _beat(self) -> None:
        self._turned_ns = now_ns = time.monotonic_ns()
        self._pids = self._fleet.processes.pids()
        scenarios = self._scenarios.all()
        counts = np.zeros(BUCKETS, np.uint64)
        for scenario in scenarios[:: len(scenarios) // _LOOKED_AT + 1]:
            late = scenario.lateness(now_ns)
            if late is not None:
                counts += late
        if not self._fleet.leaving:
            self._fleet.restarts.relieve(now_ns)
        late_ns = quantile_secs(counts, _MOST_TICKS) * 1e9 if counts.any() else 0.0
        self._pacing.observe(late_ns, self._processors.busy_share())

    def call(self, function: Callback, reply: "Future[T]") -> None:
        """Have the loop call `function`, which fills `reply`; for parts of the engine.

        Raises:
            LaunchError: the loop takes no more calls.
        """

        def made() -> None:
            try:
                function()
            except Exception as exc:
                # The loop logs it; whoever waits must not wait for nothing.
                if not reply.done():
                    refuse(reply, LaunchError(f"unexpected error: {exc}"))
                raise

        if not self.loop.post(made):
            raise LaunchError("the daemon is shutting down")

    def result(self, reply: "Future[T]", timeout_secs: float | None) -> T:
        """Wait for a reply; for parts of the engine.

        Raises:
            TimeoutError: it has not come.
        """
        if threading.get_ident() != self._owner:
            return reply.result(timeout_secs)
        self._turn(reply.done, timeout_secs)
        return reply.result(0)

    def _turn(self, is_done: Callable[[], bool], timeout_secs: float | None) -> bool:
        """Turn the loop until `is_done` or the time is over; returns the former."""
        deadline = None if timeout_secs is None else time.monotonic() + timeout_secs
        over = None if timeout_secs is None else self.loop.after(timeout_secs, lambda: None)
        self.loop.run(
            self._fleet.reconcile, lambda: is_done() or (deadline is not None and time.monotonic() >= deadline)
        )
        if over is not None:
            over.cancel()
        return is_done()
