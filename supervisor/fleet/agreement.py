"""Before a run: whether all hosts are there, and would make one run together. Nothing is started.

Source: docs/more-than-one-machine.md, "What is checked first".
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from common.errors import SondadError
from common.plan import SegmentOf
from supervisor.fleet.asking import TICK_SECS, Asking, ask_all
from supervisor.fleet.members import Introduced, Participant, Portion

_GATHER_SECS: Final = 30.0
_CLOCK_NS: Final = 1_000_000_000
"""How far clocks may differ: a daemon refuses an instant that is longer past."""


class RefusedRunError(SondadError):
    """A run that was not started.

    Attributes:
        reasons: of all hosts, a line each.
    """

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(self.reasons))


class OnLost(Enum):
    """What becomes of the segment of a host that is lost."""

    HOLE = "hole"
    TAKE_OVER = "take-over"


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a run is to be.

    Attributes:
        body: the scenario, as it is posted.
        query: parameters of the posts besides segment and start.
        fingerprint: of the compiled body; every host must come to the same.
        version: of sondad, the same everywhere.
        hosts: how many take part; None for all that are there.
        start_in_secs: from the moment when every host has agreed; None as long as they will need.
        on_lost: what becomes of the segment of a lost host.
        lost_secs: how long a host may be silent.
    """

    body: str
    query: Mapping[str, str]
    fingerprint: str
    version: str
    hosts: int | None = None
    start_in_secs: float | None = None
    on_lost: OnLost = OnLost.HOLE
    lost_secs: float = 15.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """What all hosts have agreed to.

    Attributes:
        parts: who makes what, in the order of segments.
        took_secs: how long the slowest host needed to check its part.
    """

    parts: list[Portion]
    took_secs: float


def agree(asking: Asking, wishes: Wishes) -> Agreement:
    """Find the hosts, and let each check the body and its segment.

    Raises:
        RefusedRunError: too few are there, some cannot take part, or some would make other data than the others.
    """
    members, reasons = _gathered(asking, wishes)
    reasons += _differences(members, wishes.version)
    agreement, refusals = _rehearsed(asking, wishes, members)
    if reasons or refusals:
        raise RefusedRunError([*reasons, *refusals])
    return agreement


def _gathered(asking: Asking, wishes: Wishes) -> tuple[list[Participant], list[str]]:
    """Find the hosts; returns those that can be asked, and what is wrong with others."""
    wanted = wishes.hosts or 1
    deadline = time.monotonic() + _GATHER_SECS
    while len(workers := asking.workers()) < wanted and time.monotonic() < deadline:
        time.sleep(TICK_SECS)
    # Of the first answer much is the time that the host needs to load what it answers with; the second reads the clock.
    ask_all(asking, {worker: ("introduce", {}) for worker in workers})
    answers = ask_all(asking, {worker: ("introduce", {}) for worker in workers})
    found: dict[str, Participant] = {}
    reasons: list[str] = []
    for worker, answer in sorted(answers.items()):
        if answer.done is None:
            reasons.append(answer.fault)
            continue
        said = msgspec.convert(answer.done, Introduced)
        ahead = (said.clock_ns - answer.came_ns, said.clock_ns - answer.sent_ns)
        found.setdefault(said.place, Participant(said, worker, ahead))
    if wishes.hosts is not None and len(found) < wishes.hosts:
        reasons.append(f"{wishes.hosts} hosts are wanted, {len(found)} with a daemon are there")
    elif not answers:
        reasons.append(f"no Dask worker has joined the scheduler within {_GATHER_SECS:g} s")
    members = sorted(found.values(), key=lambda member: (member.said.host, member.said.place))
    return members[: wishes.hosts], reasons


def _rehearsed(asking: Asking, wishes: Wishes, members: list[Participant]) -> tuple[Agreement, list[str]]:
    """Let every host check its segment; returns what they have agreed to, and what is wrong."""
    segments = {member.worker: f"{index}/{len(members)}" for index, member in enumerate(members, 1)}
    answers = ask_all(
        asking,
        {
            worker: ("rehearse", {"body": wishes.body, "query": {**wishes.query, "segment": segment}})
            for worker, segment in segments.items()
        },
    )
    parts: list[Portion] = []
    reasons: list[str] = []
    took_secs = 0.0
    for member in members:
        answer = answers[member.worker]
        if answer.done is None:
            reasons.append(answer.fault)
            continue
        part = Portion(member, msgspec.convert(answer.done["segment"], SegmentOf))
        parts.append(part)
        took_secs = max(took_secs, answer.done["took_secs"])
        if part.segment != segments[member.worker]:
            reasons.append(f"{member.name}: segment {part.segment} instead of {segments[member.worker]}")
        if part.share.fingerprint != wishes.fingerprint:
            reasons.append(f"{member.name}: a recording or a pack that the scenario names is not the same as here")
    rules = Counter(part.share.version for part in parts)
    reasons += [
        f"{part.member.name}: deals series by rule {part.share.version}, others by another"
        for part in parts
        if part.share.version != rules.most_common(1)[0][0]
    ]
    return Agreement(parts, took_secs), reasons


def _differences(members: list[Participant], version: str) -> list[str]:
    """Return what keeps hosts from making one run: versions and clocks."""
    commits = Counter(member.said.commit for member in members)
    reasons = []
    for member in members:
        said = member.said
        if said.installed != version:
            reasons.append(f"{member.name}: sondad {said.installed} beside its Dask worker, here {version}")
        if said.version != version:
            reasons.append(f"{member.name}: its daemon is sondad {said.version}, here {version}")
        elif len(commits) > 1 and said.commit != commits.most_common(1)[0][0]:
            reasons.append(f"{member.name}: its daemon is of commit {said.commit}, others of another")
        least, most = member.clock_ns
        if least > _CLOCK_NS or most < -_CLOCK_NS:
            ahead = least if least > 0 else -most
            side = "ahead of" if least > 0 else "behind"
            reasons.append(
                f"{member.name}: its clock is {ahead / 1e9:.1f} s {side} the one here; a time server must set both"
            )
    return reasons
