"""What crosses a worker's control pipe: commands down, events up, both tagged unions sent as msgpack.

::

    supervisor ──Run──► worker            Ready ──► supervisor    at boot: parked, waiting for a plan
               ──Start──►                 Prepared ──►            generator and encoder built
               ──Emit──►                  Emitted ──►             one event delivered; parked again
               ──Preview──►               Previewed ──►           nothing delivered; parked again
               ──Host──►                                          several entries from now on, each with a Run
               ──Stop──►                  Log ──►                 a log line for the supervisor's stderr
               ──Watch, Unwatch──►        StdoutClosed ──►        the reader of stdout is gone
               ──Follow, Lose──►          Resumed ──►             a run that was interrupted goes on
               ──Retune──►                Held ──►                a run stands still before a change
               ──Decide──►                                        it goes on, changed or not
                                          Finished ──►            last message; the process exits

A gate connects two workers: the upstream is told to ring a bell, the downstream hears it. The bell, an eventfd, follows
`Watch` and `Follow` on the pipe; nothing of a gate passes through the supervisor afterwards.

What concerns one entry carries the id of its scenario; without one it concerns the only entry that the worker has.

A worker never writes to stderr: its log lines travel as `Log`, so one process owns the log.
"""

from typing import Literal

import msgspec

from common.checkpoints import Resume
from common.errors import Cause
from common.plan import EntryPlan, ValueOrigin
from common.tuning import Tuning


class Message(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """Base of every message."""


class EntryMessage(Message, frozen=True, kw_only=True):
    """Base of what concerns one entry.

    Attributes:
        scenario_id: whose it is; None for the worker's only entry.
    """

    scenario_id: str | None = None


class Run(Message, frozen=True, kw_only=True):
    """Build everything for this entry, then answer Prepared and wait for Start.

    Attributes:
        row: the entry's row of the board; None for the worker's own.
        keeps_checkpoints: whether the run may be continued later.
        resume: how it goes on when it was interrupted; None for one that begins.
    """

    scenario_id: str
    entry: EntryPlan
    row: int | None = None
    keeps_checkpoints: bool = False
    resume: Resume | None = None


class Host(Message, frozen=True, kw_only=True):
    """From now on take any number of entries, each of which ends alone; stay until Stop."""


class Start(EntryMessage, frozen=True, kw_only=True):
    """Begin: the body's common instant on the monotonic clock, and what the wall clock read at that instant (ns)."""

    start_ns: int
    wall_ns: int


class Emit(Message, frozen=True, kw_only=True):
    """Deliver the first event of this entry now, then answer Emitted, or Finished when it failed."""

    entry: EntryPlan


class Preview(Message, frozen=True, kw_only=True):
    """Tell what these entries would emit, then answer Previewed, or Finished when it failed.

    Attributes:
        entries: of one body.
        horizon_ns: how far from the start of the body.
        points: into how many parts that is cut; a curve has a point at most at the beginning of each, and at the end.
    """

    entries: tuple[EntryPlan, ...]
    horizon_ns: int
    points: int


class Stop(Message, frozen=True, kw_only=True):
    """Leave: no further ticks, flush, close. What is not done by `deadline_ns` (monotonic) is given up.

    Attributes:
        scenario_id: the entry that is to end; None for all of them, and the process leaves.
        interrupts: whether the run is to be continued later, so that its series stay open.
    """

    deadline_ns: int
    scenario_id: str | None = None
    interrupts: bool = False


class StdoutDiscards(Message, frozen=True, kw_only=True):
    """The reader of stdout is gone: stdout sinks count writes as delivered and drop them."""


class Watch(EntryMessage, frozen=True, kw_only=True):
    """Ring the bell behind this message now, and whenever the comparison of the newest value changes its result.

    Attributes:
        wire_id: number of the wire that the bell belongs to; unique in the daemon.
        op: comparison of the entry's value with `value`.
    """

    wire_id: int
    op: Literal["<", ">"]
    value: float


class Unwatch(EntryMessage, frozen=True, kw_only=True):
    """Forget the bell of the wire `wire_id`."""

    wire_id: int


class Follow(EntryMessage, frozen=True, kw_only=True):
    """The entry in `row` is the upstream of your gate from now on; the bell behind this message rings for you."""

    row: int


class Lose(EntryMessage, frozen=True, kw_only=True):
    """The upstream of your gate has ended."""


class Retune(EntryMessage, frozen=True, kw_only=True):
    """Stand still at the next tick, answer Held, and wait for Decide.

    Attributes:
        number: of the change; unique in the daemon.
        tuning: what the entry is to become.
    """

    number: int
    tuning: Tuning


class Decide(EntryMessage, frozen=True, kw_only=True):
    """Go on: changed, or as if nothing had been asked.

    Attributes:
        number: of the change; for any other it means nothing.
        holds: whether the change holds.
    """

    number: int
    holds: bool


class Ready(Message, frozen=True, kw_only=True):
    """The worker is parked.

    Attributes:
        threads: how many threads the process has; one, or a fork from it would be unsafe.
        preloaded: whether the template's preload was there, so that memory is shared.
    """

    threads: int
    preloaded: bool


class Prepared(EntryMessage, frozen=True, kw_only=True):
    """Generator and encoder are built; waiting for Start."""


class Emitted(Message, frozen=True, kw_only=True):
    """The event is with the destination; from encoding it to the destination's answer took `latency_ns`."""

    latency_ns: int


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry would emit; `secs` and `values` have the same length.

    Attributes:
        kind: whether values are those of metrics, means of a tick's observations, or events per second.
        secs: from the start of the body, ascending.
        values: None stands for a silence, and for what is no finite number.
        lines: its first events, where they are text.
    """

    kind: Literal["value", "mean", "rate"]
    secs: tuple[float, ...]
    values: tuple[float | None, ...]
    lines: tuple[str, ...]


class Previewed(Message, frozen=True, kw_only=True):
    """What entries would emit, in their order; fewer than were asked for when it took too long."""

    curves: tuple[Curve, ...]


class StdoutClosed(Message, frozen=True, kw_only=True):
    """A write to stdout failed because its reader is gone."""


class Log(EntryMessage, frozen=True, kw_only=True):
    """A log line; `fields` are printed as key=value."""

    level: int
    message: str
    fields: dict[str, str]


class Resumed(EntryMessage, frozen=True, kw_only=True):
    """The run that was interrupted goes on; the ticks from `from_ns` until before `until_ns` were missed.

    Attributes:
        from_ns: the stamp of the first of them, ns since the epoch.
        until_ns: the stamp of the first tick behind them.
        missed_ticks: how many they are.
    """

    from_ns: int
    until_ns: int
    missed_ticks: int


class Held(EntryMessage, frozen=True, kw_only=True):
    """The run stands still before a change; nothing of it waits for a request.

    Attributes:
        number: of the change.
        tick: the number of the first tick that will have it.
        stamp_ns: its stamp, ns since the epoch; None while a gate holds the entry back.
        origin: where its values go on.
        segment_ns: where on the scenario clock the segment begins that it is in then.
        segment_tick: the number of the segment's first tick.
        cycle_shift_ns: how long before the segment the cycles of its windows began.
    """

    number: int
    tick: int
    stamp_ns: int | None
    origin: ValueOrigin
    segment_ns: int
    segment_tick: int
    cycle_shift_ns: int


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as data: exceptions do not cross processes.

    Attributes:
        cause: whose failure it was.
        message: its text.
        traceback: formatted, or empty where the failure was expected.
    """

    cause: Cause
    message: str
    traceback: str = ""


class Finished(EntryMessage, frozen=True, kw_only=True):
    """The scenario is over and everything it could deliver is delivered."""

    reason: Literal["duration", "stopped", "upstream", "failed"]
    fault: Fault | None = None


Errand = Emit | Preview
"""What a spare is asked for; afterwards it is a spare again."""

ErrandResult = Emitted | Previewed
"""What it answers, unless it has failed."""

Command = Run | Host | Start | Errand | Stop | StdoutDiscards | Watch | Unwatch | Follow | Lose | Retune | Decide
Event = Ready | Prepared | ErrandResult | StdoutClosed | Log | Resumed | Held | Finished
