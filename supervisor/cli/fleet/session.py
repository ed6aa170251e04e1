"""A run over hosts as a run on this machine tells it: entries, counters, lateness, and how it ended.

Source: docs/more-than-one-machine.md, "What is printed".
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from common.counters import Counters
from common.digest import add_digests
from common.lateness import counts_of
from common.plan import Plan, PlannedEntry
from common.states import State
from supervisor.cli.failures import CommandError
from supervisor.cli.running.session import Ended, RunOutcome, Spectator, failure_text
from supervisor.fleet.agreement import RefusedRunError
from supervisor.fleet.course import Course
from supervisor.fleet.members import Facts, PartState, Portion

_NS_PER_SEC: Final = 1_000_000_000
_LOOK_SECS: Final = 0.2
_STATES: Final = {state.wire: state for state in State}
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AbandonedError(Exception):
    """A second signal."""


@dataclass(slots=True)
class SpreadEntry:
    """An entry of the scenario, over all hosts.

    Attributes:
        entry: of the whole scenario.
        launched_ns: CLOCK_MONOTONIC of the agreed start.
        parts: those that make some of it, and its number in their figures.
    """

    entry: PlannedEntry
    launched_ns: int
    parts: list[tuple[Portion, int]]

    def figures(self) -> list[Facts]:
        """Return the newest stats of each host that has told some."""
        told = [part.figures[number] for part, number in self.parts]
        return [one for one in told if one is not None]

    def counters(self) -> Counters:
        """Return the sums over hosts; the state is that of the host that is furthest behind."""
        figures = self.figures()
        errors = [one["last_sink_error"] for one in figures if one["last_sink_error"]]
        return Counters(
            state=self._state(figures),
            state_since_ns=self.launched_ns + round(self.elapsed_secs() * _NS_PER_SEC),
            total_events=_sum(figures, "total_events"),
            bytes_emitted=_sum(figures, "bytes_emitted"),
            errors=_sum(figures, "errors"),
            total_sink_failures=_sum(figures, "total_sink_failures"),
            current_rate=sum(one["current_rate"] for one in figures),
            in_gap=bool(figures) and all(one["in_gap"] for one in figures),
            in_burst=any(one["in_burst"] for one in figures),
            last_sink_error=errors[-1] if errors else None,
        )

    def elapsed_secs(self) -> float:
        """Return how long it has run on the host where it ran longest."""
        return max((_ran_secs(one) for one in self.figures()), default=0.0)

    def failure(self) -> str | None:
        """Return why it ended where it should not have, host by host."""
        told = [
            f"{part.member.name}: {failure_text(self.entry.plan.name, one['exit_reason'])}"
            for part, number in self.parts
            if (one := part.figures[number]) is not None and one["exit_reason"] is not None
        ]
        return "; ".join(told) or None

    def _state(self, figures: list[Facts]) -> State:
        waiting = any(part.state is PartState.RUNNING and part.figures[number] is None for part, number in self.parts)
        states = [State.PENDING] * waiting + [_STATES[one["state"]] for one in figures]
        going = [state for state in states if state is not State.FINISHED]
        return min(going) if going else State.FINISHED


class FleetSession:
    """Follows one run over hosts.

    Args:
        course: the run; its hosts have agreed.
        took_secs: how long the slowest needed for that.
    """

    def __init__(self, course: Course, took_secs: float) -> None:
        self._course = course
        self._took_secs = took_secs
        self._entries: list[SpreadEntry] = []
        self._looked = 0.0

    def standing(self) -> list[str]:
        """Return a line for each host: what is known of its part."""
        return [part_line(part) for part in self._course.parts]

    def run(self, plan: Plan, spectator: Spectator) -> RunOutcome:
        """Start the run on all hosts and follow it to its end; on the main thread, once.

        Raises:
            CommandError: nothing was started.
        """
        course = self._course
        interrupts = Interrupts(course)
        with interrupts.caught():
            began_ns = time.monotonic_ns()
            try:
                course.begin(self._took_secs)
                began_ns = time.monotonic_ns() + course.start_ns - time.time_ns()
                course.follow(lambda: self._look(plan, spectator, began_ns))
            except RefusedRunError as exc:
                raise refusal(exc) from exc
            except AbandonedError:
                interrupts.is_abandoned = True
            self._looked = 0.0
            self._look(plan, spectator, began_ns)
        elapsed_secs = max(time.monotonic_ns() - began_ns, 0) / _NS_PER_SEC
        return RunOutcome(
            entries=tuple(self._ended(entry) for entry in self._entries),
            elapsed_secs=elapsed_secs,
            interrupted=course.stopping,
            abandoned=interrupts.is_abandoned,
            unread=False,
            lost=tuple(holes_of(course.parts)),
        )

    def _look(self, plan: Plan, spectator: Spectator, began_ns: int) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECS:
            return
        self._looked = now
        self._entries = spread(plan, self._course.parts, began_ns)
        spectator.look(self._entries, max(time.monotonic_ns() - began_ns, 0) / _NS_PER_SEC)

    def _ended(self, entry: SpreadEntry) -> Ended:
        figures = entry.figures()
        digests = [one["digest"] for one in figures]
        return Ended(
            name=entry.entry.plan.name,
            target_rate=entry.entry.plan.rate,
            counters=entry.counters(),
            elapsed_secs=entry.elapsed_secs(),
            failure=entry.failure(),
            lateness=counts_of(pair for one in figures for pair in one["lateness_buckets"]),
            digest=add_digests(digests) if digests and None not in digests else None,
        )


class Interrupts:
    """The first signal stops the run on all hosts; the second one leaves them.

    Attributes:
        is_abandoned: whether a second one came.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._came = 0
        self.is_abandoned = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch signals meanwhile."""
        before = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        # A terminal that closes may say so twice.
        if number == signal.SIGHUP and self._came:
            return
        self._came += 1
        if self._came > 1:
            raise AbandonedError
        self._course.stop()


def spread(plan: Plan, parts: Sequence[Portion], began_ns: int) -> list[SpreadEntry]:
    """Return every entry of a scenario with the parts that make some of it."""
    entries = [SpreadEntry(entry, began_ns, []) for entry in plan.entries]
    for part in parts:
        for number, place in enumerate(part.places):
            entries[place].parts.append((part, number))
    return entries


def host_rows(parts: Sequence[Portion]) -> list[dict[str, Any]]:
    """Return what each part has made, as reports show it."""
    return [
        {
            "host": part.member.said.host,
            "daemon": part.member.said.url,
            "segment": part.segment,
            "series": part.share.series,
            "state": part.state.value,
            "events": part.events,
            "known_at": None if not part.known_ns else part.known_ns / _NS_PER_SEC,
            "trouble": part.trouble or None,
        }
        for part in parts
    ]


def part_line(part: Portion) -> str:
    """Return what is known of a part."""
    state = f"silent: {part.trouble}" if part.silent_since is not None else part.state.value
    return f"{part.member.name}  {part.name} | {state} | events: {part.events:,} | rate: {part.rate:,.1f}/s"


def holes_of(parts: Sequence[Portion]) -> Iterator[str]:
    """Yield what is missing in the result: of every part that was lost."""
    heirs = {id(part.takes_over): part for part in parts if part.takes_over is not None}
    for part in parts:
        heir = heirs.get(id(part))
        if part.state is PartState.LOST or heir is not None:
            yield hole_text(part, heir if heir is not None and heir.has_begun else None)


def hole_text(part: Portion, heir: Portion | None) -> str:
    """Return what is missing in the result, and what is known of it.

    Args:
        part: of a host that was lost.
        heir: the part that took its segment over, if one did.
    """
    told = f"no more is known of {part.extent} than {part.events} events at {_clock(part.known_ns)}"
    until = "" if heir is None else f", until {heir.member.name} took it over at {_clock(heir.began_ns)}"
    return f"{part.member.name} was lost: {told}{until}: {part.trouble}"


def _clock(stamp_ns: int) -> str:
    if not stamp_ns:
        return "no time"
    return time.strftime("%H:%M:%S", time.localtime(stamp_ns // _NS_PER_SEC)) + f".{stamp_ns // 1_000_000 % 1000:03d}"


def refusal(error: RefusedRunError) -> CommandError:
    """Return the error that tells the reasons of all hosts."""
    number = len(error.reasons)
    lines = "".join(f"\n  {reason}" for reason in error.reasons)
    return CommandError(f"the run was not started, for {number} reason{'s' if number > 1 else ''}:{lines}")


def _sum(figures: list[Facts], name: str) -> int:
    return sum(one[name] for one in figures)


def _ran_secs(one: dict[str, Any]) -> float:
    over_secs = one["current_state_secs"] if one["state"] == "finished" else 0.0
    return float(max(one["uptime_secs"] - over_secs, 0.0))
