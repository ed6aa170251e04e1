"""What becomes of runs, told to the journal; and how a run of the journal goes on.

The loop's thread says what happens and waits for nothing; the threads that launch and stop wait for the disk.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from common.checkpoints import Resume
from common.counters import Counters
from common.logs import fields
from common.messages import Held, Resumed, Start
from common.plan import EntryPlan, PlannedEntry
from common.restarts import OnRestart
from common.specs import File
from common.tuning import Change
from supervisor.engine.control_plane import LaunchError, Scenario
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap
from supervisor.journal.journal import Journal, JournalError
from supervisor.journal.runs import DOWN, EndedRun, Hole, KeptRun, Retuned, Tuned, with_hole, with_newest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InterruptedBody:
    """Runs that were started at one instant, and how they go on.

    Attributes:
        runs: those that go on, and how.
        ended: those that have ended.
    """

    runs: tuple[tuple[KeptRun, Resume], ...]
    ended: tuple[KeptRun, ...]

    def begin(self, now_ns: int, wall_ns: int) -> tuple[list[LaunchedScenario], list[LaunchedScenario], Start]:
        """Return the scenarios that go on, those that have ended, and the start of all of them on the clocks of now."""
        first = self.ended[0] if self.ended else self.runs[0][0]
        start = Start(start_ns=now_ns - (wall_ns - first.start_wall_ns), wall_ns=first.start_wall_ns)
        going = [
            LaunchedScenario(run.id, run.entry, run.scenario_name, now_ns, resume, run.origin, run.body_id)
            for run, resume in self.runs
        ]
        for scenario, (run, _) in zip(going, self.runs, strict=True):
            scenario.holes, scenario.tuned = run.holes, run.tuned
        return going, [LaunchedScenario.finished(run, start.start_ns, now_ns) for run in self.ended], start


class Keeping:
    """The journal of an engine.

    Args:
        scenarios: what runs.
        journal: where runs are kept; None keeps nothing.
    """

    def __init__(self, scenarios: ScenarioMap, journal: Journal | None = None) -> None:
        self._scenarios = scenarios
        self._journal = journal

    @property
    def is_on(self) -> bool:
        """Whether runs are kept."""
        return self._journal is not None

    def launched(self, body_id: str, entries: Sequence[PlannedEntry], scenarios: Sequence[Scenario]) -> None:
        """Keep scenarios of a body that was started; returns when they are on the disk.

        Args:
            body_id: the id of the body's first scenario.
            entries: of the scenarios, whole: workers have taken recordings along.
            scenarios: in the same order.

        Raises:
            LaunchError: they cannot be kept.
        """
        if self._journal is None:
            return
        launched = [
            (found, entry)
            for scenario, entry in zip(scenarios, entries, strict=True)
            if (found := self._scenarios.get(scenario.id)) is not None
        ]
        with ExitStack() as locks:
            for one, _ in launched:
                # Somebody who has seen it in the list may change it already.
                locks.enter_context(one.changing)
            try:
                self._journal.put(one.kept_run(body_id, entry) for one, entry in launched)
            except JournalError as exc:
                raise LaunchError(str(exc)) from exc
        for scenario in scenarios:
            if self._scenarios.get(scenario.id) is None:
                # Deleted meanwhile by somebody who has seen it in the list.
                self.removed(scenario.id)

    def retuned(self, scenario: LaunchedScenario, change: Change, held: Held) -> Tuned:
        """Keep what a scenario that stands still is changed to, and return that; it is on the disk.

        Raises:
            LaunchError: it cannot be kept.
        """
        retunes = with_newest(scenario.retunes, Retuned(held.tick, held.stamp_ns, change.changes))
        tuned = Tuned(
            tuning=change.tuning,
            origin=held.origin,
            config=change.config,
            segment_ns=held.segment_ns,
            segment_tick=held.segment_tick,
            cycle_shift_ns=held.cycle_shift_ns,
            retunes=retunes,
        )
        if self._journal is not None:
            try:
                self._journal.retune(scenario.id, tuned)
            except JournalError as exc:
                raise LaunchError(str(exc)) from exc
        return tuned

    def removed(self, scenario_id: str) -> None:
        """Forget a run; returns when that is on the disk. What cannot be forgotten is logged, and may come back."""
        if self._journal is not None:
            try:
                self._journal.remove([scenario_id])
            except JournalError as exc:
                logger.warning("a deleted scenario stays in the journal", extra=fields(id=scenario_id, reason=exc))

    def ended(self, scenario: LaunchedScenario, counters: Counters, reason: str | None) -> None:
        """Keep how a run has ended."""
        if self._journal is not None:
            self._journal.end(scenario.id, EndedRun(counters, reason))

    def resumed(self, event: Resumed, stopping: Iterable[LaunchedScenario]) -> None:
        """Keep what a scenario has missed, which may be one of those about to stop, no longer in the list."""
        if event.scenario_id is None:
            return
        about_to_stop = (one for one in stopping if one.id == event.scenario_id)
        scenario = self._scenarios.get(event.scenario_id) or next(about_to_stop, None)
        if scenario is None:
            return
        hole = Hole(event.from_ns, event.until_ns, event.missed_ticks, scenario.interruption or DOWN)
        scenario.holes = with_hole(scenario.holes, hole)
        shown = {"id": scenario.id, "name": scenario.entry.plan.name, "missed_ticks": hole.missed_ticks}
        logger.warning("a scenario goes on after a hole", extra=fields(**shown, reason=hole.reason))
        if self._journal is not None:
            self._journal.note_holes(scenario.id, scenario.holes)


def interrupted_bodies(runs: Sequence[KeptRun], default: OnRestart) -> list[InterruptedBody]:
    """Return what is to be done with the runs of the journal, in the order of their launch.

    Args:
        runs: as the daemon before has left them.
        default: `hole`, `fill` or `end`, for entries that do not say.
    """
    files = files_of(run.entry.plan for run in runs if run.ended is None)
    bodies: dict[str, list[KeptRun]] = {}
    for run in runs:
        bodies.setdefault(run.body_id, []).append(run)
    return [_interrupted(body, files, default) for body in bodies.values()]


def files_of(plans: Iterable[EntryPlan]) -> "Counter[str]":
    """Return how many of `plans` write to each file."""
    return Counter(plan.sink.path for plan in plans if isinstance(plan.sink, File))


def shares_file(plan: EntryPlan, files: "Counter[str]") -> bool:
    """Return whether `plan`, one of those that `files` were counted of, writes to a file that another writes to."""
    return isinstance(plan.sink, File) and files[plan.sink.path] > 1


def _interrupted(body: Sequence[KeptRun], files: "Counter[str]", default: OnRestart) -> InterruptedBody:
    going: dict[str | None, KeptRun] = {}
    ended: list[KeptRun] = []
    policies = {run.id: run.entry.plan.on_restart or default for run in body}
    for run in body:
        if run.ended is not None:
            ended.append(run)
        elif policies[run.id] == "end":
            ended.append(_end(run, "ended: the daemon was restarted (on_restart: end)"))
        else:
            going[run.id] = run
    # An upstream that has ended takes its downstreams along; those of them that were not told yet end here.
    while lost := [run for run in going.values() if not _has_upstream(run, going.values())]:
        for run in lost:
            del going[run.id]
            ended.append(_end(run, None))
    resumed = tuple(
        (
            run,
            Resume(
                checkpoint=run.checkpoint,
                fills=policies[run.id] == "fill",
                shares_file=shares_file(run.entry.plan, files),
            ),
        )
        for run in going.values()
    )
    return InterruptedBody(resumed, tuple(ended))


def _has_upstream(run: KeptRun, going: Iterable[KeptRun]) -> bool:
    gate = run.entry.plan.gate
    if gate is None or gate.scenario_name is not None or gate.upstream is not None:
        return True
    return any(other.entry.plan.id == gate.ref for other in going)


def _end(run: KeptRun, reason: str | None) -> KeptRun:
    counters = Counters() if run.checkpoint is None else run.checkpoint.counters
    return msgspec.structs.replace(run, ended=EndedRun(counters, reason))
