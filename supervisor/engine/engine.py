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
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

from common.board import Board
from common.plan import EntryPlan, Plan
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, Scenario, StopResult
from supervisor.engine.figures import Figures
from supervisor.engine.fleet import Fleet
from supervisor.engine.placement import SEPARATE, Sharing
from supervisor.engine.pool import Pool
from supervisor.engine.replies import refuse
from supervisor.engine.scenarios import ScenarioMap
from supervisor.engine.spawn import Door
from supervisor.engine.wakeups import WakeupBudget
from supervisor.host.limits import DEFAULT_WAKEUPS_PER_CORE, usable_cores
from supervisor.host.loop import Callback, Loop

BOARD_ROWS: Final = 8192
GRACE_SECS: Final = 4.5
"""What workers get to deliver what they have before they are killed."""

_REAP_SECS: Final = 0.5
_BEAT_SECS: Final = 1.0
_SILENT_SECS: Final = 3.0

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
        worker_memory_bytes: how much memory of its own a worker may use; 0 is unlimited.
        sharing: which entries share a worker.
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
        worker_memory_bytes: int = 0,
        sharing: Sharing = SEPARATE,
        on_first_ready: Callback = lambda: None,
    ) -> None:
        cores = usable_cores()
        self.loop = loop or Loop()
        self._owner = threading.get_ident()
        self._board = Board(rows)
        self._scenarios = ScenarioMap(capacity)
        self._door = Door(self.loop, self._board.descriptor, worker_memory_bytes)
        self._pool = Pool(
            self._door.start,
            rows=self._board.rows,
            spares_wanted=max(4, 2 * cores) if spares is None else spares,
            starting_limit=starting_limit or cores,
        )
        budget = WakeupBudget(wakeups_per_core * cores)
        self._fleet = Fleet(self.loop, self._board, self._pool, self._scenarios, budget, on_first_ready, sharing)
        self._closed = False
        self._turned_ns = time.monotonic_ns()
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
            endings=tally.endings,
            totals=tally.totals(),
            started_total=self._pool.started_total,
            slack_ns=self._board.slack_ns(),
            rows_used=self._board.rows - free,
            rows_free=free,
            stdout_closed=tally.stdout_closed,
        )

    def launch(self, plan: Plan, timeout_secs: float | None = None) -> list[Scenario]:
        """Start all entries of `plan` or none; see the protocol."""
        reply: Future[list[Scenario]] = Future()
        self._post(partial(self._fleet.launch, plan, reply), reply)
        try:
            return self._result(reply, timeout_secs)
        except TimeoutError as exc:
            if not reply.cancel():
                return self._result(reply, None)
            self.loop.post(partial(self._fleet.abandon, reply))
            raise CallTimeoutError(f"the workers were not ready within {timeout_secs:g} s") from exc

    def stop(self, scenario_id: str, timeout_secs: float | None = None) -> StopResult | None:
        """Remove the scenario at once and wait until its worker is gone; see the protocol."""
        reply: Future[StopResult | None] = Future()
        self._post(partial(self._fleet.stop, scenario_id, reply), reply)
        try:
            return self._result(reply, timeout_secs)
        except TimeoutError as exc:
            raise CallTimeoutError(f"the worker was not gone within {timeout_secs:g} s") from exc

    def deliver(self, entry: EntryPlan, timeout_secs: float | None = None) -> int:
        """Deliver the first event of `entry` and wait for the destination's answer; see the protocol."""
        reply: Future[int] = Future()
        self._post(partial(self._fleet.deliver, entry, reply), reply)
        try:
            return self._result(reply, timeout_secs)
        except TimeoutError as exc:
            if not reply.cancel():
                return self._result(reply, None)
            self.loop.post(partial(self._fleet.break_off, reply))
            raise CallTimeoutError(f"the event was not delivered within {timeout_secs:g} s") from exc

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

    def silent_secs(self) -> float:
        """Return for how long the loop has not turned, 0 while it does; callable from any thread."""
        silent = (time.monotonic_ns() - self._turned_ns) / 1e9
        return silent if silent > _SILENT_SECS else 0.0

    def discard_stdout(self) -> None:
        """Let stdout sinks discard from now on: nobody reads stdout any more. On the loop."""
        self._fleet.discard_stdout()

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

    def _beat(self) -> None:
        self._turned_ns = time.monotonic_ns()

    def _post(self, call: Callback, reply: "Future[T]") -> None:
        def made() -> None:
            try:
                call()
            except Exception as exc:
                # The loop logs it; whoever waits must not wait for nothing.
                if not reply.done():
                    refuse(reply, LaunchError(f"unexpected error: {exc}"))
                raise

        if not self.loop.post(made):
            raise LaunchError("the daemon is shutting down")

    def _result(self, reply: "Future[T]", timeout_secs: float | None) -> T:
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
