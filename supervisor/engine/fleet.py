"""Every worker of the daemon, from its start to its end; main thread only.

::

    pool: starting ──Ready──► spare ──Run──► launch ──Prepared, Start──► scenario ──Finished──► gone
              └─────────────────┴───────── given up ──┘                                          │
              row free again ◄────────────────────────┘             row free again after DELETE ◄┘
    spare ──Emit──► delivers one event ──Emitted──► spare

The owner of a worker (nobody but the pool, a launch, a scenario, `Emissions`) decides what its events and its end mean.
"""

import logging
import time
import uuid
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Final

from common.board import Board
from common.errors import WireError
from common.logs import fields
from common.messages import Emitted, Event, Finished, Prepared, Ready, Run, Start, StdoutClosed, StdoutDiscards
from common.plan import EntryPlan, Plan
from supervisor.engine.control_plane import CapacityError, EventError, LaunchError, NameConflict, Scenario, StopResult
from supervisor.engine.emissions import Emissions
from supervisor.engine.endings import abnormal_end, ending_of, fault_text, traceback_fields
from supervisor.engine.guests import Guest
from supervisor.engine.handshakes import Handshakes
from supervisor.engine.hosts import Hosts
from supervisor.engine.launch import Launch
from supervisor.engine.placement import Sharing
from supervisor.engine.pool import Pool
from supervisor.engine.replies import refuse
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.tally import Tally
from supervisor.engine.wakeups import WakeupBudget
from supervisor.engine.wiring import Wiring
from supervisor.engine.workers import End, Worker, Workers
from supervisor.host.loop import Callback, Loop

logger = logging.getLogger(__name__)

STOP_SECS: Final = 5.0
"""From the Stop command to SIGKILL. Source: docs/http.md, "Stop"."""

BodyLaunch = Launch[Worker]
Owner = BodyLaunch | Emissions | Hosts | LaunchedScenario | None
LaunchReply = Future[list[Scenario]]
StopReply = Future[StopResult | None]
EventReply = Future[int]


class Fleet:
    """Owns the workers, and with them the scenario map.

    Args:
        loop: the main thread's loop.
        board: what the workers write.
        pool: spares and free rows.
        scenarios: the map; changed only here.
        budget: rates of the running scenarios.
        on_first_ready: called once, when the first worker is parked.
        sharing: which entries share a worker.

    Attributes:
        tally: what has become of workers and scenarios, for any thread to read.
    """

    def __init__(
        self,
        loop: Loop,
        board: Board,
        pool: Pool[WorkerProcess],
        scenarios: ScenarioMap,
        budget: WakeupBudget,
        on_first_ready: Callback,
        sharing: Sharing,
    ) -> None:
        self._loop = loop
        self._board = board
        self._pool = pool
        self._scenarios = scenarios
        self._budget = budget
        self._on_first_ready: Callback | None = on_first_ready
        self.tally = Tally()
        self._owners: dict[Worker, Owner] = {}
        self._launches: list[BodyLaunch] = []
        self._workers: dict[LaunchedScenario, Worker] = {}
        self._stopping: dict[LaunchedScenario, StopReply] = {}
        self._kept_rows: dict[LaunchedScenario, int] = {}
        self._processes = Workers(loop, self._handle, self._ended)
        self._emissions = Emissions(pool, self._processes)
        self._hosts = Hosts(pool, self._processes, sharing)
        self._handshakes = Handshakes(
            loop, self._owes_an_answer, lambda worker: worker in pool.starting, self._processes.kill_process
        )
        self._wiring = Wiring(self._processes.kill)
        self._on_empty: Callback | None = None

    def launch(self, plan: Plan, reply: LaunchReply) -> None:
        """Start all entries of `plan` at one instant or none; `reply` gets the scenarios or a SondadError."""
        now_ns = time.monotonic_ns()
        scenarios = [LaunchedScenario(str(uuid.uuid4()), entry, plan.scenario_name, now_ns) for entry in plan.entries]
        try:
            self._check_room(scenarios)
            self._scenarios.reserve(scenarios)
        except (NameConflict, CapacityError, LaunchError) as exc:
            refuse(reply, exc)
            return
        self._launches.append(Launch(plan, scenarios, reply))
        self._hand_out_spares()

    def abandon(self, reply: LaunchReply) -> None:
        """Undo the launch that nobody waits for any more; nothing happens when it is over."""
        for launch in self._launches:
            if launch.reply is reply:
                self._give_up(launch, LaunchError("the request was over before the workers were ready"))
                return

    def deliver(self, entry: EntryPlan, reply: EventReply) -> None:
        """Deliver the first event of `entry`; `reply` gets the nanoseconds it took, or an EventError."""
        try:
            self._check_room(events=1)
        except LaunchError as exc:
            refuse(reply, EventError(str(exc), "runtime"))
            return
        self._emissions.add(entry, reply)
        self._hand_out_spares()

    def break_off(self, reply: EventReply) -> None:
        """Break off the delivery of the event that nobody waits for any more."""
        self._emissions.abandon(reply)

    def stop(self, scenario_id: str, reply: StopReply) -> None:
        """Remove a scenario at once and stop its worker; `reply` gets the outcome when the worker is gone."""
        scenario = self._scenarios.remove(scenario_id)
        if scenario is None:
            reply.set_result(None)
        elif (worker := self._workers.get(scenario)) is not None:
            self._stopping[scenario] = reply
            self._processes.ask_to_stop(worker, STOP_SECS)
        else:
            self._recycle(scenario, self._kept_rows.pop(scenario))
            reply.set_result(StopResult("stopped", scenario.counters().total_events))

    def shut_down(self, grace_secs: float, on_empty: Callback) -> None:
        """Stop everything at once, kill what is left after `grace_secs`; `on_empty` is called when all are gone."""
        self._on_empty = on_empty
        for launch in list(self._launches):
            self._give_up(launch, LaunchError("the daemon is shutting down"))
        self._emissions.refuse_waiting("the daemon is shutting down")
        for worker, owner in self._owners.items():
            if owner is None:
                worker.kill()
            elif owner not in self._stopping:
                self._processes.ask_to_stop(worker, grace_secs)
        self._loop.after(grace_secs, self.kill_all)
        self._tell_when_empty()

    def kill_all(self) -> None:
        """Kill every worker that is still there."""
        self._processes.kill_all("killed: it did not stop before the daemon did")

    def discard_stdout(self) -> None:
        """Tell all workers, present and future, that nobody reads stdout any more; logged once.

        Source: docs/operating.md, "Start".
        """
        if self.tally.stdout_closed:
            return
        self.tally.stdout_closed = True
        logger.warning("stdout was closed by its reader; stdout sinks discard from now on")
        for worker in self._owners:
            if worker not in self._pool.starting:
                self._processes.tell(worker, StdoutDiscards())

    @property
    def leaving(self) -> bool:
        """Whether it was told to shut down."""
        return self._on_empty is not None

    def running(self, scenarios: Collection[Scenario] | None = None) -> bool:
        """Return whether a worker runs any of `scenarios`, or any at all."""
        return bool(self._workers) if scenarios is None else any(scenario in scenarios for scenario in self._workers)

    def reconcile(self, now_ns: int) -> int | None:
        """Start a worker if one is due; returns when the next is (monotonic ns), or None."""
        if self.leaving:
            return None
        refusal = self._pool.refusal(now_ns)
        for launch in [launch for launch in self._launches if launch.without_worker and refusal is not None]:
            self._give_up(launch, LaunchError(f"no worker can be started: {refusal}"))
        if refusal is not None:
            self._emissions.refuse_waiting(f"no worker can be started: {refusal}")
        waiting = self._hosts.workers_for(self._waiting()) + self._emissions.waiting
        due_ns = self._pool.due_ns(now_ns, waiting=waiting, busy=bool(self._launches))
        if due_ns is None or due_ns > now_ns:
            return due_ns
        started = self._pool.start_one(now_ns)
        if started is None:
            logger.warning("a worker could not be started", extra=fields(error=self._pool.last_reason))
        else:
            self._owners[started] = None
            self._processes.watch(started)
            self._handshakes.started(started)
        return now_ns

    def _check_room(self, scenarios: Sequence[LaunchedScenario] = (), events: int = 0) -> None:
        if self.leaving:
            raise LaunchError("the daemon is shutting down")
        refusal = self._hosts.refusal([*self._waiting(), *scenarios], self._emissions.waiting + events)
        if refusal is not None:
            raise LaunchError(refusal)

    def _waiting(self) -> list[LaunchedScenario]:
        return [scenario for launch in self._launches for scenario in launch.without_worker]

    def _hand_out_spares(self) -> None:
        for sender in self._emissions.hand_out():
            self._owners[sender] = self._emissions
            self._handshakes.asked(sender)
        for launch in self._launches:
            while launch.without_worker:
                worker = self._hosts.worker_for(launch.without_worker[0])
                if worker is None:
                    return
                if isinstance(worker, Guest):
                    self._owners[worker.host], self._owners[worker] = self._hosts, None
                self._assign(worker, launch)

    def _assign(self, worker: Worker, launch: BodyLaunch) -> None:
        scenario = launch.assign(worker)
        try:
            worker.send(Run(scenario_id=scenario.id, entry=scenario.entry.plan))
        except WireError:
            launch.withdraw(worker)
            self._processes.kill_process(worker, "killed: it did not take its plan")
            return
        self._owners[worker] = launch
        self._handshakes.asked(worker)
        scenario.attach(self._board.row(worker.row))

    def _start(self, launch: BodyLaunch) -> None:
        if not launch.reply.set_running_or_notify_cancel():
            self._dismantle(launch)
            return
        self._wiring.add(launch.workers, launch.scenarios)
        start = Start(start_ns=time.monotonic_ns(), wall_ns=time.time_ns())
        try:
            for worker in launch.workers:
                # One whose gate could not be wired is ended with that reason, like any scenario that ends.
                if not self._processes.was_killed(worker):
                    worker.send(start)
        except WireError as exc:
            self._dismantle(launch)
            launch.reply.set_exception(LaunchError(f"a worker went while it was being started: {exc}"))
            return
        self._launches.remove(launch)
        for worker, scenario in launch.workers.items():
            scenario.start(start.start_ns)
            self._owners[worker] = scenario
            self._workers[scenario] = worker
            self._budget.add(scenario.entry.plan.rate)
        self._scenarios.add(launch.scenarios)
        self.tally.started(launch.scenarios)
        self._wiring.resolve()
        launch.reply.set_result(list(launch.scenarios))
        self._board.set_slack_ns(self._budget.slack_ns())

    def _give_up(self, launch: BodyLaunch, error: LaunchError) -> None:
        self._dismantle(launch)
        refuse(launch.reply, error)

    def _dismantle(self, launch: BodyLaunch) -> None:
        # Nothing was delivered yet, so there is nothing to flush: the workers are killed, and go back to the pool.
        self._launches.remove(launch)
        self._scenarios.give_up(launch.scenarios)
        for worker, scenario in launch.workers.items():
            self._wiring.remove(scenario)
            scenario.detach()
            self._owners[worker] = None
            worker.kill()

    def _owes_an_answer(self, worker: Worker) -> bool:
        owner = self._owners.get(worker)
        if isinstance(owner, Launch):
            return owner.waits_for(worker)
        return owner is self._emissions or worker in self._pool.starting

    def _handle(self, worker: WorkerProcess, event: Event) -> None:
        owner = self._owners[worker]
        match event:
            case StdoutClosed():
                self.discard_stdout()
            case Ready():
                self._parked(worker, event)
            case _ if owner is self._hosts:
                guest = self._hosts.hear(worker, event)
                if guest is not None and isinstance(launch := self._owners[guest], Launch) and launch.prepared(guest):
                    self._start(launch)
            case Emitted() if owner is self._emissions:
                self._emissions.delivered(worker, event.latency_ns)
                self._park_again(worker)
            case Finished() if owner is self._emissions:
                self._emissions.failed(worker, event)
            case Prepared() if isinstance(owner, Launch) and owner.prepared(worker):
                self._start(owner)
            case _:
                return

    def _parked(self, worker: WorkerProcess, ready: Ready) -> None:
        if not ready.preloaded or ready.threads != 1:
            logger.warning(
                "a worker started without its preload or with threads",
                extra=fields(preloaded=ready.preloaded, threads=ready.threads),
            )
        if self.tally.stdout_closed:
            self._processes.tell(worker, StdoutDiscards())
        self._pool.ready(worker)
        self._hand_out_spares()
        if self._on_first_ready is not None:
            self._on_first_ready()
            self._on_first_ready = None

    def _park_again(self, worker: WorkerProcess) -> None:
        self._owners[worker] = None
        if self.leaving or self._processes.was_killed(worker):
            return
        if self._pool.park(worker):
            self._hand_out_spares()
        else:
            self._processes.ask_to_stop(worker, STOP_SECS)

    def _ended(self, worker: Worker, end: End) -> None:
        match owner := self._owners.pop(worker):
            case Launch():
                self._release_row(worker.row)
                self._launch_lost(owner, worker, end)
            case LaunchedScenario():
                self._scenario_ended(owner, worker, end)
            case None:
                reason = end.reason or "ended without being asked"
                self._board.clear(worker.row)
                if self._pool.lost(worker, reason, time.monotonic_ns()) and not self.leaving:
                    logger.warning("a spare worker exited", extra=fields(pid=worker.pid, reason=reason))
            case _:
                self._release_row(worker.row)
        if isinstance(worker, WorkerProcess) and end.was_born:
            self.tally.endings[ending_of(end.finished, end.killed, end.exit_code)] += 1
            if isinstance(owner, Emissions):
                owner.lost(worker, end.reason or "the worker ended without saying why")
            elif isinstance(owner, Hosts):
                owner.lost(worker, end)
        self._tell_when_empty()

    def _launch_lost(self, launch: BodyLaunch, worker: Worker, end: End) -> None:
        launch.workers[worker].detach()
        if end.finished is None and launch.retry(worker):
            # It may have been dead before it got its plan; another one is tried.
            self._hand_out_spares()
            return
        why = end.reason or fault_text(end.finished) or "ended without saying why"
        shown = {"reason": why, **traceback_fields(end.finished)}
        logger.warning("a worker exited while starting its scenario", extra=fields(**shown))
        del launch.workers[worker]
        self._give_up(launch, LaunchError(f"a worker exited while starting its scenario: {why}"))

    def _scenario_ended(self, scenario: LaunchedScenario, worker: Worker, end: End) -> None:
        asked = scenario in self._stopping or self.leaving
        reason = end.reason or abnormal_end(end.finished, asked)
        final = scenario.freeze(reason, time.monotonic_ns())
        self.tally.ended(scenario)
        del self._workers[scenario]
        self._wiring.remove(scenario)
        self._budget.remove(scenario.entry.plan.rate)
        self._board.set_slack_ns(self._budget.slack_ns())
        if reason is not None:
            shown = {"id": scenario.id, "name": scenario.entry.plan.name, "reason": reason}
            logger.warning("scenario ended abnormally", extra=fields(**shown, **traceback_fields(end.finished)))
        reply = self._stopping.pop(scenario, None)
        if reply is None:
            self._kept_rows[scenario] = worker.row
        else:
            self._recycle(scenario, worker.row)
            reply.set_result(StopResult("force_stopped" if end.killed else "stopped", final.total_events))

    def _recycle(self, scenario: LaunchedScenario, row: int) -> None:
        scenario.detach()
        self._release_row(row)

    def _release_row(self, row: int) -> None:
        self._board.clear(row)
        self._pool.give_back(row)

    def _tell_when_empty(self) -> None:
        if self._on_empty is not None and not self._processes:
            self._on_empty()
