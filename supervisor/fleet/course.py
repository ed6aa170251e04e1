"""The course of a run over hosts: start together, follow, stop.

Everything that the command knows of the run it was told by the daemons. So whatever dies, what is said is what was
known last, and of what; and where a daemon answers again, by another Dask worker or another scheduler at the same
address, the run is followed on.

Source: docs/more-than-one-machine.md, "What happens when something dies".
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from supervisor.fleet.agreement import OnLost, RefusedRunError, Wishes
from supervisor.fleet.asking import ANSWER_SECS, TICK_SECS, Answer, Asking, OpenQuestion, ask_all
from supervisor.fleet.members import Facts, PartState, Portion

_LOOK_SECS: Final = 0.5
"""Between two looks at a part; with many hosts longer, so that the scheduler has little to do."""

_LOOKS_PER_SEC: Final = 400
_LOOK_ANSWER_SECS: Final = 12.0
_LEAVE_SECS: Final = 10.0
_NS_PER_SEC: Final = 1_000_000_000


def _pause() -> None:
    time.sleep(TICK_SECS)


@dataclass(slots=True)
class Course:
    """One run.

    Args:
        asking: the way to the hosts.
        wishes: how it is to be.
        parts: who makes what, as all have agreed; those that take over follow.
        say: takes a line about what has changed.
        now: monotonic seconds.
        pause: called between two looks.

    Attributes:
        start_ns: the agreed instant, wall clock.
        stopping: whether an end was asked for.
    """

    asking: Asking
    wishes: Wishes
    parts: list[Portion]
    say: Callable[[str], None]
    now: Callable[[], float] = time.monotonic
    pause: Callable[[], None] = _pause
    start_ns: int = 0
    stopping: bool = False
    _ends: bool = False
    _asked: dict[int, OpenQuestion] = field(default_factory=dict)
    _due: dict[int, float] = field(default_factory=dict)
    _greeted: dict[str, OpenQuestion | None] = field(default_factory=dict)
    _leaving: list[OpenQuestion] = field(default_factory=list)

    def begin(self, took_secs: float) -> None:
        """Start every segment at one instant.

        Args:
            took_secs: how long the slowest host needed to check it.

        Raises:
            RefusedRunError: not every host has taken its segment; those that had were stopped.
        """
        lead_secs = self.wishes.start_in_secs or 2.0 + 3.0 * took_secs
        self.start_ns = time.time_ns() + round(lead_secs * _NS_PER_SEC)
        answers = ask_all(self.asking, {part.member.worker: self._beginning(part) for part in self.parts})
        reasons = []
        for part in self.parts:
            answer = answers[part.member.worker]
            if answer.done is None:
                reasons.append(answer.fault)
            else:
                self._begun(part, answer)
        if reasons:
            begun = [part for part in self.parts if part.has_begun]
            ask_all(self.asking, {part.member.worker: ("end", {"ids": part.ids}) for part in begun})
            raise RefusedRunError(reasons)

    def follow(self, look: Callable[[], None]) -> None:
        """Follow the run to its end.

        Args:
            look: called whenever figures may have changed.
        """
        while any(part.state is PartState.RUNNING for part in self.parts):
            self._step()
            look()
            self.pause()
        deadline = self.now() + _LEAVE_SECS
        while any(question.answer() is None for question in self._leaving) and self.now() < deadline:
            self.pause()

    def stop(self) -> None:
        """End every part; `follow` returns when all have ended or are lost. May be called by a signal handler."""
        self.stopping = True

    def _step(self) -> None:
        now = self.now()
        if self.stopping and not self._ends:
            self._ends = True
            self._asked.clear()
            self._due.clear()
        followed = [part for part in self.parts if _is_followed(part)]
        if any(part.silent_since is not None for part in followed):
            self._greet(followed)
        period = max(_LOOK_SECS, len(followed) / _LOOKS_PER_SEC)
        for part in followed:
            asked = self._asked.get(id(part))
            answer = None if asked is None else asked.answer()
            if answer is not None:
                del self._asked[id(part)]
                self._due[id(part)] = now + period
                self._heed(part, answer, now)
            elif asked is None and now >= self._due.get(id(part), 0.0):
                self._asked[id(part)] = self._ask(part)
            silent_secs = 0.0 if part.silent_since is None else now - part.silent_since
            if part.state is PartState.RUNNING and silent_secs > self.wishes.lost_secs:
                self._lose(part)

    def _ask(self, part: Portion) -> OpenQuestion:
        worker = part.member.worker
        if not part.has_begun:
            return self.asking.ask(worker, *self._beginning(part), ANSWER_SECS)
        if self._ends or part.state is PartState.TAKEN:
            return self.asking.ask(worker, "end", {"ids": part.ids}, ANSWER_SECS)
        return self.asking.ask(worker, "look", {"ids": part.ids}, _LOOK_ANSWER_SECS)

    def _heed(self, part: Portion, answer: Answer, now: float) -> None:
        if answer.done is None:
            self._heed_fault(part, answer.fault, now)
        elif not part.has_begun:
            self._begun(part, answer)
        elif part.state is PartState.TAKEN:
            part.look_at(answer.done["scenarios"], answer.came_ns)
            part.state = PartState.ENDED
            self.say(f"{part.member.name} is back: {part.name} was taken over, and is stopped there")
        else:
            self._look_at(part, answer, now)

    def _look_at(self, part: Portion, answer: Answer, now: float) -> None:
        was_silent = part.silent_since is not None
        missing = part.look_at((answer.done or {})["scenarios"], answer.came_ns)
        if missing:
            fault = f"its daemon does not have {missing} of {len(part.ids)} scenarios any more"
            self._heed_fault(part, fault, now)
            if self._ends:
                self._lose(part)
            return
        if was_silent:
            self.say(f"{part.member.name} answers again: {part.name} has gone on")
        if self._ends:
            part.state = PartState.OVER
        elif part.state is PartState.OVER:
            # Whether the daemon forgets what has ended is of no account.
            self._leaving.append(self.asking.ask(part.member.worker, "end", {"ids": part.ids}, _LEAVE_SECS))

    def _heed_fault(self, part: Portion, fault: str, now: float) -> None:
        part.trouble = fault
        if not part.has_begun:
            # Whether it has begun is not known where the host is silent: nobody else may try.
            part.state = PartState.LOST
            self.say(f"{part.member.name} does not take {part.name} over: {fault}")
        elif part.silent_since is None:
            # A daemon that was started again may still be about to go on with what it had.
            part.silent_since = now
            self.say(f"{part.member.name} is silent: {fault}")

    def _lose(self, part: Portion) -> None:
        part.state = PartState.LOST
        self.say(f"{part.member.name} is lost: {part.extent} is not known from here on: {part.trouble}")
        if self.stopping or self.wishes.on_lost is not OnLost.TAKE_OVER:
            return
        burdens = Counter(id(one.member) for one in self.parts if one.state is PartState.RUNNING)
        silent = {id(one.member) for one in self.parts if one.silent_since is not None}
        members = {id(one.member): one.member for one in self.parts}
        there = [member for key, member in members.items() if key not in silent]
        if not there:
            self.say(f"no host is left that could take {part.name} over")
            return
        heir = min(there, key=lambda member: burdens[id(member)])
        part.state = PartState.TAKEN if part.silent_since is not None else PartState.ENDED
        self.parts.append(Portion(heir, part.share, takes_over=part))
        self.say(f"{heir.name} takes {part.name} over from {part.member.name}")

    def _greet(self, followed: list[Portion]) -> None:
        """Ask Dask workers that are new which daemon they have, for the hosts that are silent."""
        there = self.asking.workers()
        for worker in [worker for worker in self._greeted if worker not in there]:
            del self._greeted[worker]
        silent = {part.member.said.place: part.member for part in followed if part.silent_since is not None}
        for worker in there:
            if worker not in self._greeted:
                self._greeted[worker] = self.asking.ask(worker, "introduce", {}, ANSWER_SECS)
            asked = self._greeted[worker]
            answer = None if asked is None else asked.answer()
            if answer is None:
                continue
            self._greeted[worker] = None
            if answer.done is not None and (member := silent.get(answer.done["place"])) is not None:
                member.worker = worker

    def _beginning(self, part: Portion) -> tuple[str, Facts]:
        query = {
            **self.wishes.query,
            "segment": f"{part.share.index}/{part.share.count}",
            "start_at": f"{self.start_ns // _NS_PER_SEC}.{self.start_ns % _NS_PER_SEC:09d}",
        }
        if part.takes_over is not None:
            query["resume"] = "true"
        return "begin", {"body": self.wishes.body, "query": query}

    def _begun(self, part: Portion, answer: Answer) -> None:
        part.has_begun, part.began_ns = True, answer.came_ns
        begun = (answer.done or {})["scenarios"]
        part.ids, part.places = [one["id"] for one in begun], [one["place"] for one in begun]
        part.figures = [None] * len(part.ids)


def _is_followed(part: Portion) -> bool:
    """Return whether a part may have something new to tell; one that was lost may come back."""
    if part.state is PartState.LOST:
        return part.has_begun and part.silent_since is not None
    return part.state in (PartState.RUNNING, PartState.TAKEN)
