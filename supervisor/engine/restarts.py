"""Scenarios that go on in another shared worker: theirs has gone, once each, or is too hot for them.

::

    worker gone ──► waits for a place ──Run──► guest elsewhere ──Prepared──► gates wired again, Start ──► runs on
                          └── asked to stop, or no worker to be had ──► ended, for the reason that its worker had

After a crash a scenario goes on at the tick that its clock says, and has missed those before. One that moves was
stopped at a tick, and misses none. A scenario keeps its row of the board, so that those who read it, and gates that
watch it, need not know. Main thread only.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from common.checkpoints import Checkpoint, Checkpoints, Resume
from common.errors import WireError
from common.logs import fields
from common.messages import Run
from common.plan import Histogram, Summary
from supervisor.engine.guests import Guest
from supervisor.engine.hosts import Hosts
from supervisor.engine.keeping import files_of, shares_file
from supervisor.engine.retunes import Retunes
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap
from supervisor.engine.shedding import Shedding
from supervisor.engine.wiring import Wiring
from supervisor.engine.workers import End, Worker, Workers
from supervisor.host.processors import process_cpu_ns

logger = logging.getLogger(__name__)

_MOVE_SECS: Final = 5.0


def may_restart_counting(scenario: LaunchedScenario, worker: Worker) -> bool:
    """Return whether what a scenario counts is to be kept, so that it can go on in another worker."""
    return isinstance(worker, Guest) and isinstance(scenario.entry.plan.generator, Histogram | Summary)


class Restarts:
    """What is between two workers.

    Args:
        hosts: where places are.
        processes: kills workers.
        wiring: connects gates again.
        scenarios: tells who else writes to a file.
        checkpoints: where histograms and summaries are.
        retunes: what is changed while it runs; what waits for a decision goes on after that.
        end: called with what does not go on after all, its worker, and how that ended.

    Attributes:
        total: how many scenarios went on in another worker after a crash.
        moves_total: how many left a worker that was too hot.
    """

    def __init__(
        self,
        hosts: Hosts,
        processes: Workers,
        wiring: Wiring,
        scenarios: ScenarioMap,
        checkpoints: Checkpoints,
        retunes: Retunes,
        end: Callable[[LaunchedScenario, Worker, End], None],
    ) -> None:
        self.total = self.moves_total = 0
        self._hosts = hosts
        self._processes = processes
        self._wiring = wiring
        self._scenarios = scenarios
        self._checkpoints = checkpoints
        self._retunes = retunes
        self._end = end
        self._waiting: dict[LaunchedScenario, tuple[Worker, End]] = {}
        self._moving: set[LaunchedScenario] = set()
        self._shedding = Shedding(process_cpu_ns)

    @property
    def waiting(self) -> Sequence[LaunchedScenario]:
        """Those that have no place yet."""
        return tuple(self._waiting)

    def take(self, scenario: LaunchedScenario, worker: Worker, end: End) -> bool:
        """Take a scenario whose worker has gone; False when it is to end."""
        if not isinstance(worker, Guest):
            return False
        if end.finished is None:
            self._moving.discard(scenario)
            if scenario.restarts:
                return False
            scenario.interrupted(end.reason or "its worker exited")
        elif scenario not in self._moving or end.finished.reason != "stopped":
            self._moving.discard(scenario)
            return False
        self._waiting[scenario] = (worker, end)
        return True

    def relieve(self, now_ns: int) -> None:
        """Let scenarios leave workers that are too hot; to be called about once a second, at `now_ns` (monotonic)."""
        hosts = {
            host: [
                (guest, scenario)
                for scenario_id, guest in guests.items()
                if (scenario := self._scenarios.get(scenario_id)) is not None
            ]
            for host, guests in self._hosts.guests.items()
        }
        leaving = self._shedding.look(hosts, now_ns)
        self._hosts.avoid(self._shedding.hot)
        for guest, scenario in leaving:
            logger.info("a scenario leaves a busy worker", extra=fields(id=scenario.id, name=scenario.entry.plan.name))
            self.move(guest, scenario)

    def move(self, guest: Guest, scenario: LaunchedScenario) -> None:
        """Let a scenario without a gate go on in another worker, with its next tick."""
        scenario.moves()
        self._moving.add(scenario)
        self._processes.ask_to_stop(guest, _MOVE_SECS, interrupts=True)

    def hand_out(self) -> list[tuple[Guest, LaunchedScenario]]:
        """Give places to those that wait, as far as there are any; return the new guests."""
        placed = []
        files = files_of(one.entry.plan for one in self._scenarios.all()) if self._waiting else Counter()
        for scenario, (worker, _) in list(self._waiting.items()):
            if self._retunes.stands_still(scenario):
                continue
            guest = self._hosts.place(scenario.id, worker.row)
            if guest is None:
                break
            del self._waiting[scenario]
            placed.append((guest, scenario))
            try:
                guest.send(self._command(scenario, worker.row, files))
            except WireError:
                self._processes.kill_process(guest, "killed: it did not take its plan")
        return placed

    def prepared(self, scenario: LaunchedScenario, guest: Guest) -> None:
        """Let a scenario go on whose new worker is ready."""
        if scenario in self._moving:
            self._moving.remove(scenario)
            self.moves_total += 1
        else:
            self.total += 1
            shown = {"id": scenario.id, "name": scenario.entry.plan.name, "reason": scenario.interruption}
            logger.warning("a scenario goes on in another worker", extra=fields(**shown))
        self._wiring.move(scenario, guest)
        # One that has gone meanwhile is seen to end.
        self._processes.tell(guest, scenario.start_again())
        self._retunes.ask_again(scenario)

    def give_up(self, scenario: LaunchedScenario) -> bool:
        """End a scenario that waits for a place; False when it does not."""
        gone = self._waiting.pop(scenario, None)
        if gone is not None:
            self._end(scenario, *gone)
        return gone is not None

    def give_up_all(self, why: str) -> None:
        """End all that wait for a place."""
        for scenario, (worker, end) in list(self._waiting.items()):
            self._waiting[scenario] = worker, replace(end, reason=f"{end.reason}; {why}")
            self.give_up(scenario)

    def _command(self, scenario: LaunchedScenario, row: int, files: "Counter[str]") -> Run:
        kept = self._checkpoints.read(row)
        checkpoint = Checkpoint(counters=scenario.counters(), totals=None if kept is None else kept.totals)
        if scenario.tuned is not None:
            checkpoint = scenario.tuned.reached(checkpoint)
        shared = shares_file(scenario.entry.plan, files)
        return scenario.command_again(Resume(checkpoint=checkpoint, fills=scenario in self._moving, shares_file=shared))
