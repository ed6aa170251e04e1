"""Changes of running scenarios on their way: asked of a worker, decided by whoever asked. Main thread only.

::

    ask ──Retune──► worker ──Held──► answered with the tick; kept in the journal ──► decide ──Decide──► the run goes on
                      └── the run ends first ──► refused

A worker stands still between `Held` and `Decide`, so a change is on the disk before its first tick is anywhere. A
scenario that loses its worker meanwhile gets another one when it is decided.
"""

import itertools
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from common.messages import Decide, Held, Retune
from common.tuning import Tuning
from supervisor.engine.control_plane import NotRunningError
from supervisor.engine.pacing import Pacing
from supervisor.engine.replies import refuse
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.workers import Worker, Workers
from supervisor.host.loop import Callback
from supervisor.journal.runs import Tuned


@dataclass(slots=True)
class _Asked:
    command: Retune
    reply: "Future[Held]"
    is_held: bool = False


class Retunes:
    """The changes that are not decided yet; one of a scenario at a time.

    Args:
        workers: of all running scenarios.
        processes: tells them.
        pacing: follows rates.
        on_decided: called when a scenario may go on whose worker had gone.
    """

    def __init__(
        self, workers: Mapping[LaunchedScenario, Worker], processes: Workers, pacing: Pacing, on_decided: Callback
    ) -> None:
        self._workers = workers
        self._processes = processes
        self._pacing = pacing
        self._on_decided = on_decided
        self._numbers = itertools.count(1)
        self._asked: dict[LaunchedScenario, _Asked] = {}

    def ask(self, scenario: LaunchedScenario, tuning: Tuning, reply: "Future[Held]") -> None:
        """Let a scenario stand still; `reply` gets where it does, or NotRunningError. `decide` is to follow."""
        if scenario not in self._workers:
            refuse(reply, NotRunningError(scenario.id))
            return
        command = Retune(scenario_id=scenario.id, number=next(self._numbers), tuning=tuning)
        self._asked[scenario] = _Asked(command, reply)
        self.ask_again(scenario)

    def ask_again(self, scenario: LaunchedScenario) -> None:
        """Ask the worker that a scenario has now, if there is anything to be asked."""
        asked = self._asked.get(scenario)
        if asked is not None:
            self._processes.tell(self._workers[scenario], asked.command)

    def held(self, scenario: LaunchedScenario, event: Held) -> None:
        """Take the answer of a worker; one that nobody waits for any more goes on unchanged."""
        asked = self._asked.get(scenario)
        if asked is not None and asked.command.number == event.number and not asked.is_held:
            asked.is_held = asked.reply.set_running_or_notify_cancel()
            if asked.is_held:
                asked.reply.set_result(event)
                return
        self._processes.tell(self._workers[scenario], Decide(scenario_id=scenario.id, number=event.number, holds=False))

    def decide(self, scenario: LaunchedScenario, tuned: Tuned | None) -> None:
        """Let a scenario go on, as `tuned` or else as it was."""
        asked, worker = self._asked.pop(scenario, None), self._workers.get(scenario)
        if tuned is not None:
            before = scenario.entry.plan.own_rate
            scenario.retuned(tuned)
            if worker is not None:
                self._pacing.add(scenario.entry.plan.own_rate)
                self._pacing.remove(before)
        if asked is not None and worker is not None:
            number = asked.command.number
            self._processes.tell(worker, Decide(scenario_id=scenario.id, number=number, holds=tuned is not None))
        self._on_decided()

    def stands_still(self, scenario: LaunchedScenario) -> bool:
        """Return whether a scenario waits for a decision."""
        asked = self._asked.get(scenario)
        return asked is not None and asked.is_held

    def ended(self, scenario: LaunchedScenario) -> None:
        """Note that a scenario has ended."""
        asked = self._asked.pop(scenario, None)
        if asked is not None and not asked.is_held:
            refuse(asked.reply, NotRunningError(scenario.id))
