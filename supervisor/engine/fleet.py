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
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Final

from common.board import Board
from common.checkpoints import Checkpoints
from common.errors import WireError
from common.logs import fields
from common.messages import Errand, ErrandResult, Event, Finished, Held, Prepared, Ready, Resumed, StdoutClosed
from common.plan import Plan
from common.sharing import Sharing
from supervisor.engine.control_plane import CapacityError, EventError, LaunchError, NameConflict, Scenario, StopResult
from supervisor.engine.emissions import EmissionReply, Emissions
from supervisor.engine.endings import abnormal_end, ending_of, fault_text, traceback_fields
from supervisor.engine.guests import Guest
from supervisor.engine.handshakes import Handshakes
from supervisor.engine.hosts import Hosts
from supervisor.engine.keeping import InterruptedBody, Keeping
from supervisor.engine.launch import Launch
from supervisor.engine.pacing import Pacing
from supervisor.engine.parking import Parking
from supervisor.engine.pool import Pool
from supervisor.engine.replies import refuse
from supervisor.engine.restarts import Restarts, may_restart_counting
from supervisor.engine.retunes import Retunes
from supervisor.engine.rows import Rows
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap, scenarios_of
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.tally import Tally
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


class Fleet:
    """Owns the workers, and with them the scenario map.

    Args:
        loop: the main thread's loop.
        board: what the workers write.
        pool: spares and free rows.
        scenarios: the map; changed only here.
        pacing: how late ticks may be fired.
        on_first_ready: called once, when the first worker is parked.
        sharing: which entries share a worker.
        keeping: is told what becomes of runs.
        checkpoints: what workers keep of them.

    Attributes:
        parking: where spares come from.
        emissions: the single events.
        processes: every worker there is.
        restarts: what goes on in another worker.
        retunes: what is changed while it runs.
        tally: what has become of workers and scenarios, for any thread to read.
    """

    def __init__(
        self,
        loop: Loop,
        board: Board,
        pool: Pool[WorkerProcess],
        scenarios: ScenarioMap,
        pacing: Pacing,
        on_first_ready: Callback,
        sharing: Sharing,
        keeping: Keeping,
        checkpoints: Checkpoints,
    ) -> None:
        self._loop = loop
        self._board = board
        self._pool = pool
        self._scenarios = scenarios
        self._pacing = pacing
        self._keeping = keeping
        self.tally = Tally()
        self._owners: dict[Worker, Owner] = {}
        self._launches: list[BodyLaunch] = []
        self._workers: dict[LaunchedScenario, Worker] = {}
        self._stopping: dict[LaunchedScenario, StopReply] = {}
        self._rows = Rows(board, checkpoints, pool)
        self.processes = Workers(loop, self._handle, self._ended)
        self.parking = Parking(pool, self.processes, self.tally, on_first_ready)
        self.emissions = Emissions(pool, self.processes)
        self._hosts = Hosts(pool, self.processes, sharing)
        kill = self.processes.kill_process
        self._handshakes = Handshakes(loop, self._owes_an_answer, lambda worker: worker in pool.starting, kill)
        self._wiring = Wiring(self.processes.kill)
        self.retunes = Retunes(self._workers, self.processes, pacing, self._hand_out_spares)
        self.restarts = Restarts(
            self._hosts, self.processes, self._wiring, scenarios, checkpoints, self.retunes, self._scenario_ended
        )
        self._on_empty: Callback | None = None

    def launch(self, plan: Plan, reply: LaunchReply) -> None:
        """Start all entries of `plan` at one instant or none; `reply` gets the scenarios or a SondadError."""
        self._begin(Launch(scenarios_of(plan, time.monotonic_ns()), reply, plan=plan))

    def resume(self, body: InterruptedBody, reply: LaunchReply) -> None:
        """Let runs of an earlier daemon go on; `reply` as of `launch`."""
        going, ended, start = body.begin(time.monotonic_ns(), time.time_ns())
        self._scenarios.add(ended)
        if going:
            self._begin(Launch(going, reply, start))

    def _begin(self, launch: BodyLaunch) -> None:
        try:
            self._check_room(launch.scenarios)
            self._scenarios.reserve(launch.scenarios)
        except (NameConflict, CapacityError, LaunchError) as exc:
            refuse(launch.reply, exc)
        else:
            self._launches.append(launch)
            self._hand_out_spares()

    def abandon(self, reply: LaunchReply) -> None:
        """Undo the launch that nobody waits for any more; nothing happens when it is over."""
        for launch in [one for one in self._launches if one.reply is reply]:
            self._give_up(launch, LaunchError("the request was over before the workers were ready"))

    def ask_spare(self, command: Errand, reply: EmissionReply) -> None:
        """Let a spare deliver an event, or tell what entries would emit; `reply` gets its answer, or an EventError."""
        try:
            self._check_room(events=1)
        except LaunchError as exc:
            refuse(reply, EventError(str(exc), "runtime"))
            return
        self.emissions.add(command, reply)
        self._hand_out_spares()

    def stop(self, scenario_id: str, reply: StopReply) -> None:
        """Remove a scenario at once and stop its worker; `reply` gets the outcome when it is gone."""
        scenario = self._scenarios.remove(scenario_id)
        if scenario is None:
            reply.set_result(None)
        elif (worker := self._workers.get(scenario)) is not None:
            self._stopping[scenario] = reply
            if not self.restarts.give_up(scenario):
                self.processes.ask_to_stop(worker, STOP_SECS)
        else:
            self._rows.let_go(scenario)
            reply.set_result(StopResult("stopped", scenario.counters().total_events))

    def shut_down(self, grace_secs: float, on_empty: Callback) -> None:
        """Stop everything at once, kill what is left after `grace_secs`; `on_empty` is called when all are gone."""
        self._on_empty = on_empty
        for launch in list(self._launches):
            self._give_up(launch, LaunchError("the daemon is shutting down"))
        self.emissions.refuse_waiting("the daemon is shutting down")
        self.restarts.give_up_all("the daemon is shutting down")
        for worker, owner in self._owners.items():
            if owner is None:
                worker.kill()
            elif owner not in self._stopping:
                self.processes.ask_to_stop(worker, grace_secs, interrupts=self._keeping.is_on)
        self._loop.after(grace_secs, self.kill_all)
        self._tell_when_empty()

    def kill_all(self) -> None:
        """Kill every worker that is still there."""
        self.processes.kill_all("killed: it did not stop before the daemon did")

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
        if (refusal := self._pool.refusal(now_ns)) is not None:
            self._refuse_waiting(refusal)
        restarting = self.restarts.waiting
        waiting = self._hosts.workers_for([*restarting, *self._waiting()]) + self.emissions.waiting
        due_ns = self._pool.due_ns(now_ns, waiting=waiting, busy=bool(self._launches or restarting))
        if due_ns is None or due_ns > now_ns:
            return due_ns
        started = self._pool.start_one(now_ns)
        if self._pool.short is not None:
            self._refuse_waiting(self._pool.short)
        elif started is None:
            logger.warning("a worker could not be started", extra=fields(error=self._pool.last_reason))
        else:
            self._owners[started] = None
            self.processes.watch(started)
            self._handshakes.started(started)
        return now_ns

    def _check_room(self, scenarios: Sequence[LaunchedScenario] = (), events: int = 0) -> None:
        if self.leaving:
            raise LaunchError("the daemon is shutting down")
        refusal = self._hosts.refusal([*self._waiting(), *scenarios], self.emissions.waiting + events)
        if refusal is not None:
            raise LaunchError(refusal)

    def _refuse_waiting(self, why: str) -> None:
        for launch in [launch for launch in self._launches if launch.without_worker]:
            self._give_up(launch, LaunchError(f"no worker can be started: {why}"))
        self.emissions.refuse_waiting(f"no worker can be started: {why}")
        self.restarts.give_up_all(f"no worker can be started: {why}")

    def _waiting(self) -> list[LaunchedScenario]:
        return [scenario for launch in self._launches for scenario in launch.without_worker]

    def _hand_out_spares(self) -> None:
        for sender in self.emissions.hand_out():
            self._owners[sender] = self.emissions
            self._handshakes.asked(sender)
        for guest, scenario in self.restarts.hand_out():
            self._owners[guest.host], self._owners[guest] = self._hosts, scenario
            self._workers[scenario] = guest
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
            keeps = self._keeping.is_on or may_restart_counting(scenario, worker)
            worker.send(scenario.command(keeps_checkpoints=keeps))
        except WireError:
            launch.withdraw(worker)
            self.processes.kill_process(worker, "killed: it did not take its plan")
            return
        self._owners[worker] = launch
        self._handshakes.asked(worker)
        scenario.attach(self._board.row(worker.row), worker.row, shares_worker=isinstance(worker, Guest))

    def _start(self, launch: BodyLaunch) -> None:
        if not launch.reply.set_running_or_notify_cancel():
            self._dismantle(launch)
            return
        self._wiring.add(launch.workers, launch.scenarios)
        try:
            start = launch.begin()
            for worker in launch.workers:
                # One whose gate could not be wired is ended with that reason, like any scenario that ends.
                if not self.processes.was_killed(worker):
                    worker.send(start)
        except (WireError, LaunchError) as exc:
            self._dismantle(launch)
            text = str(exc) if isinstance(exc, LaunchError) else f"a worker went while it was being started: {exc}"
            launch.reply.set_exception(LaunchError(text))
            return
        self._launches.remove(launch)
        for worker, scenario in launch.workers.items():
            scenario.start(start, keeps_recording=isinstance(worker, Guest))
            self._owners[worker] = scenario
            self._workers[scenario] = worker
            self._pacing.add(scenario.entry.plan.own_rate)
        self._scenarios.add(launch.scenarios)
        self.tally.started(launch.scenarios)
        self._wiring.resolve()
        launch.reply.set_result(list(launch.scenarios))
        self._pacing.settle()

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
        return owner is self.emissions or worker in self._pool.starting

    def _handle(self, worker: WorkerProcess, event: Event) -> None:
        owner = self._owners[worker]
        match event:
            case StdoutClosed():
                self.parking.discard_stdout()
            case Ready():
                self.parking.reported(worker, event)
                self._hand_out_spares()
            case Resumed():
                self._keeping.resumed(event, self._stopping)
            case Held(scenario_id=str(scenario_id)) if (scenario := self._scenarios.get(scenario_id)) is not None:
                self.retunes.held(scenario, event)
            case _ if owner is self._hosts:
                guest = self._hosts.hear(worker, event)
                whose = None if guest is None else self._owners[guest]
                if isinstance(whose, Launch) and guest is not None and whose.prepared(guest):
                    self._start(whose)
                elif isinstance(whose, LaunchedScenario) and guest is not None:
                    self.restarts.prepared(whose, guest)
            case _ if owner is self.emissions and isinstance(event, ErrandResult):
                self.emissions.delivered(worker, event)
                self._owners[worker] = None
                if not self.leaving and self.parking.again(worker):
                    self._hand_out_spares()
            case Finished() if owner is self.emissions:
                self.emissions.failed(worker, event)
            case Prepared() if isinstance(owner, Launch) and owner.prepared(worker):
                self._start(owner)

    def _ended(self, worker: Worker, end: End) -> None:
        match owner := self._owners.pop(worker):
            case Launch():
                self._rows.free(worker.row)
                self._launch_lost(owner, worker, end)
            case LaunchedScenario():
                if self.leaving or owner in self._stopping or not self.restarts.take(owner, worker, end):
                    self._scenario_ended(owner, worker, end)
            case None:
                reason = end.reason or "ended without being asked"
                self._board.clear(worker.row)
                if self._pool.lost(worker, reason, time.monotonic_ns()) and not self.leaving:
                    logger.warning("a spare worker exited", extra=fields(pid=worker.pid, reason=reason))
            case _:
                self._rows.free(worker.row)
        if isinstance(worker, WorkerProcess) and end.was_born:
            self.tally.endings[ending_of(end.finished, end.killed, end.exit_code)] += 1
            if isinstance(owner, Emissions):
                owner.lost(worker, end.reason or "the worker ended without saying why")
            elif isinstance(owner, Hosts):
                owner.lost(worker, end)
        if self.restarts.waiting:
            self._hand_out_spares()
        self._tell_when_empty()

    def _launch_lost(self, launch: BodyLaunch, worker: Worker, end: End) -> None:
        launch.workers[worker].detach()
        if end.finished is None and launch.retry(worker):
            # It may have been dead before it got its plan; another one is tried.
            self._hand_out_spares()
            return
        why = end.reason or fault_text(end.finished) or "ended without saying why"
        what = "a worker exited while starting its scenario"
        logger.warning(what, extra=fields(reason=why, **traceback_fields(end.finished)))
        del launch.workers[worker]
        self._give_up(launch, LaunchError(f"{what}: {why}"))

    def _scenario_ended(self, scenario: LaunchedScenario, worker: Worker, end: End) -> None:
        asked = scenario in self._stopping or self.leaving
        reason = end.reason or abnormal_end(end.finished, asked)
        final = scenario.freeze(reason, time.monotonic_ns())
        if not self.leaving or (end.finished is not None and end.finished.reason != "stopped"):
            self._keeping.ended(scenario, final, reason)
        self.tally.ended(scenario)
        del self._workers[scenario]
        self.retunes.ended(scenario)
        self._wiring.remove(scenario)
        self._pacing.remove(scenario.entry.plan.own_rate)
        if reason is not None:
            shown = {"id": scenario.id, "name": scenario.entry.plan.name, **traceback_fields(end.finished)}
            logger.warning("scenario ended abnormally", extra=fields(reason=reason, **shown))
        reply = self._stopping.pop(scenario, None)
        if reply is None:
            self._rows.keep(scenario, worker.row)
        else:
            self._rows.let_go(scenario, worker.row)
            reply.set_result(StopResult("force_stopped" if end.killed else "stopped", final.total_events))

    def _tell_when_empty(self) -> None:
        if self._on_empty is not None and not self.processes:
            self._on_empty()
