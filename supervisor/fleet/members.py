"""A host of a run, a part that it makes, and what is known of both."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from common.plan import SegmentOf

Facts = dict[str, Any]
"""A question or an answer between the command and a host: plain data."""


class Introduced(msgspec.Struct, frozen=True):
    """What a host says of itself.

    Attributes:
        place: the same for every way to one daemon.
        installed: the version of sondad beside its Dask worker.
        version: of its daemon.
        commit: of the same.
        clock_ns: what its wall clock read, ns since the epoch.
    """

    place: str
    host: str
    url: str
    installed: str
    version: str
    commit: str
    clock_ns: int


@dataclass(slots=True)
class Participant:
    """A host that takes part.

    Attributes:
        said: by the host, when it was asked first.
        worker: the address of the Dask worker by which it is asked; a new one after that was started again.
        clock_ns: how far its clock is ahead of ours, ns: at least, and at most.
    """

    said: Introduced
    worker: str
    clock_ns: tuple[int, int]

    @property
    def name(self) -> str:
        """Host and daemon, for people."""
        return f"{self.said.host} ({self.said.url})"


class PartState(Enum):
    """How it is with a part of the run."""

    RUNNING = "running"
    OVER = "over"
    LOST = "lost"
    """Nothing is known of it any more, for longer than is waited."""

    ENDED = "ended"
    """Another host has gone on with its segment, and it does not run any more."""

    TAKEN = "taken over"
    """As before, and another host goes on with its segment; should it come back, it is stopped there."""


@dataclass(slots=True)
class Portion:
    """A segment on a host.

    Attributes:
        share: what it has of the body.
        ids: of its scenarios on the daemon, in the order of the body's entries.
        places: which entry of the body each of them is.
        figures: the newest stats of each; None before the first.
        known_ns: when they came, wall clock; 0 before the first.
        silent_since: monotonic seconds; None while the host answers.
        trouble: why it does not answer.
        takes_over: the part whose segment it goes on with.
        has_begun: whether its daemon has taken it.
        began_ns: when that was known, wall clock.
    """

    member: Participant
    share: SegmentOf
    ids: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    figures: list[Facts | None] = field(default_factory=list)
    known_ns: int = 0
    state: PartState = PartState.RUNNING
    silent_since: float | None = None
    trouble: str = ""
    takes_over: "Portion | None" = None
    has_begun: bool = False
    began_ns: int = 0

    @property
    def segment(self) -> str:
        """Which segment it is, such as `2/7`."""
        return f"{self.share.index}/{self.share.count}"

    @property
    def name(self) -> str:
        """The segment, for people."""
        return f"segment {self.segment}"

    @property
    def extent(self) -> str:
        """The segment and how much of the whole it is, for people."""
        share = self.share
        percent = 100.0 * share.rate / share.total_rate if share.total_rate else 0.0
        return f"{self.name} ({share.series} of {share.total_series} series, {percent:.1f} % of the rate)"

    @property
    def events(self) -> int:
        """How many events it is known to have made."""
        return int(sum(one["total_events"] for one in self.figures if one is not None))

    @property
    def rate(self) -> float:
        """How many events per second it made when that was last known."""
        return float(sum(one["current_rate"] for one in self.figures if one is not None))

    def look_at(self, figures: list[Facts | None], now_ns: int) -> int:
        """Take new figures; returns how many scenarios the daemon does not have, which keep those they had."""
        known = self.figures or [None] * len(figures)
        self.figures = [new or old for new, old in zip(figures, known, strict=True)]
        missing = sum(one is None for one in figures)
        if not missing:
            self.known_ns, self.silent_since, self.trouble = now_ns, None, ""
            over = all(one is not None and one["state"] == "finished" for one in figures)
            self.state = PartState.OVER if over else PartState.RUNNING
        return missing
