"""What the journal knows of a run."""

from typing import Any, Final

import msgspec

from common.checkpoints import Checkpoint
from common.counters import Counters
from common.plan import PlannedEntry, ValueOrigin
from common.tuning import Tuning


class Hole(msgspec.Struct, frozen=True):
    """Ticks that a run has missed.

    Attributes:
        from_ns: the stamp of the first of them, ns since the epoch.
        until_ns: the stamp of the next tick behind them.
        missed_ticks: how many they are.
        reason: why, in words.
    """

    from_ns: int
    until_ns: int
    missed_ticks: int
    reason: str


DOWN: Final = "the daemon was down"
"""Why ticks are missing between two daemons."""


class Retuned(msgspec.Struct, frozen=True):
    """A change of a run.

    Attributes:
        tick: the number of the first tick that had it.
        stamp_ns: its stamp, ns since the epoch; None where a gate held the entry back.
        changes: the fields of the entry that were changed, as clients see them; None for one that was removed.
    """

    tick: int
    stamp_ns: int | None
    changes: dict[str, Any]


MOST_RETUNES: Final = 100
_MOST_RETUNES_BYTES: Final = 65_536
"""What is kept of all changes of a run; the newest is kept in any case."""


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was launched with, and what it was changed to since.

    Attributes:
        tuning: what holds now.
        origin: where its values go on.
        config: the entry as clients see it.
        segment_ns: where on the scenario clock the segment began that the newest change fell in.
        segment_tick: the number of the segment's first tick.
        cycle_shift_ns: how long before the segment the cycles of its windows began.
        retunes: the changes, oldest first, the newest MOST_RETUNES of them.
    """

    tuning: Tuning
    origin: ValueOrigin
    config: dict[str, Any]
    segment_ns: int
    segment_tick: int
    cycle_shift_ns: int
    retunes: tuple[Retuned, ...]

    def of(self, entry: PlannedEntry) -> PlannedEntry:
        """Return the entry as it is now; `entry` may be the one that was launched, or any later one."""
        return msgspec.structs.replace(entry, plan=self.tuning.of(entry.plan, self.origin), config=self.config)

    def reached(self, checkpoint: Checkpoint | None) -> Checkpoint:
        """Return a checkpoint from which the run can go on as it is now: no older one than its newest change.

        One that was kept while it stood still has the tick of the change, and the segment of before.
        """
        kept = Checkpoint(counters=Counters()) if checkpoint is None else checkpoint
        counters, tick = kept.counters, self.retunes[-1].tick
        if counters.next_tick >= tick and counters.segment_tick >= self.segment_tick:
            return kept
        counters = msgspec.structs.replace(
            counters,
            segment_ns=self.segment_ns,
            segment_tick=self.segment_tick,
            cycle_shift_ns=self.cycle_shift_ns,
            next_tick=max(counters.next_tick, tick),
            waiting_events=counters.waiting_events if counters.next_tick >= tick else 0,
        )
        return msgspec.structs.replace(kept, counters=counters)


def with_hole(holes: tuple[Hole, ...], newest: Hole) -> tuple[Hole, ...]:
    """Return what a run has missed, with one more hole, which reaches to where the run is now.

    A worker that dies before it has kept where a hole has led it leaves the position before that hole, and what goes on
    from there misses the same ticks, and more: a known hole that does not begin earlier is part of the newest.
    """
    return (*(hole for hole in holes if hole.from_ns < newest.from_ns), newest)


def with_newest(retunes: tuple[Retuned, ...], newest: Retuned) -> tuple[Retuned, ...]:
    """Return the changes of a run that are kept, with one more."""
    kept = (*retunes, newest)[-MOST_RETUNES:]
    while len(kept) > 1 and len(msgspec.msgpack.encode(kept)) > _MOST_RETUNES_BYTES:
        kept = kept[1:]
    return kept


class EndedRun(msgspec.Struct, frozen=True):
    """How a run has ended.

    Attributes:
        counters: its last ones.
        reason: why its worker ended, in words; None for a regular end.
    """

    counters: Counters
    reason: str | None


class KeptRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        id: of its scenario.
        body_id: the id of the first scenario of its body: what has the same one was started at the same instant.
        scenario_name: the name of the body.
        origin: who has brought it: a kind of request, or a file of the catalog.
        entry: what runs.
        start_wall_ns: what the wall clock read at the start of the body, ns since the epoch.
        row: the row of the board that its worker writes; None where it has none yet.
        checkpoint: where it was when the daemon before went; None where the file of checkpoints says so.
        holes: what it has missed until now.
        ended: how it has ended; None for one that goes on.
        tuned: what it was changed to; `entry` is so already. None for one that was never changed.
    """

    id: str
    body_id: str
    scenario_name: str | None
    origin: str
    entry: PlannedEntry
    start_wall_ns: int
    row: int | None = None
    checkpoint: Checkpoint | None = None
    holes: tuple[Hole, ...] = ()
    ended: EndedRun | None = None
    tuned: Tuned | None = None

    def recovered(self, checkpoint: Checkpoint | None) -> "KeptRun":
        """Return it with the checkpoint that its worker has left, and the newest hole of that, if nobody kept it."""
        holes = self.holes
        if checkpoint is not None and checkpoint.counters.hole_ticks:
            last = checkpoint.counters
            if not holes or holes[-1].from_ns < last.hole_from_ns:
                holes = (*holes, Hole(last.hole_from_ns, last.hole_until_ns, last.hole_ticks, DOWN))
        if self.tuned is not None and self.ended is None:
            checkpoint = self.tuned.reached(checkpoint)
        return msgspec.structs.replace(self, row=None, checkpoint=checkpoint, holes=holes)
