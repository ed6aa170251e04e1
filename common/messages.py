"""What crosses a worker's control pipe: commands down, events up, both tagged unions sent as msgpack.

::

    supervisor ──Run──► worker            Ready ──► supervisor    at boot: parked, waiting for a plan
               ──Start──►                 Prepared ──►            generator and encoder built
               ──Stop──►                  Log ──►                 a log line for the supervisor's stderr
                                          StdoutClosed ──►        the reader of stdout has gone
                                          Finished ──►            last message; the process leaves

A worker never writes to stderr: its log lines travel as `Log`, so one process owns the log.
"""

from typing import Literal

import msgspec

from common.plan import EntryPlan


class Message(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """Base of every message."""


class Run(Message, frozen=True, kw_only=True):
    """Build everything for this entry, then answer Prepared and wait for Start."""

    scenario_id: str
    entry: EntryPlan


class Start(Message, frozen=True, kw_only=True):
    """Begin: the body's common instant on the monotonic clock, and what the wall clock read at that instant (ns)."""

    start_ns: int
    wall_ns: int


class Stop(Message, frozen=True, kw_only=True):
    """Leave: no further ticks, flush, close. What is not done by `deadline_ns` (monotonic) is given up."""

    deadline_ns: int


class StdoutDiscards(Message, frozen=True, kw_only=True):
    """The reader of stdout has gone: stdout sinks count writes as delivered and drop them."""


class Ready(Message, frozen=True, kw_only=True):
    """The worker is parked.

    Attributes:
        threads: how many threads the process has; one, or a fork from it would be unsafe.
        preloaded: whether the forkserver's preload was there, so that memory is shared.
    """

    threads: int
    preloaded: bool


class Prepared(Message, frozen=True, kw_only=True):
    """Generator and encoder are built; waiting for Start."""


class StdoutClosed(Message, frozen=True, kw_only=True):
    """A write to stdout failed because its reader has gone."""


class Log(Message, frozen=True, kw_only=True):
    """A log line; `fields` are printed as key=value."""

    level: int
    message: str
    fields: dict[str, str]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as data: exceptions do not cross processes.

    Attributes:
        kind: class name of the exception.
        message: its text.
        traceback: formatted, or empty where the failure was expected.
    """

    kind: str
    message: str
    traceback: str = ""


class Finished(Message, frozen=True, kw_only=True):
    """The scenario is over and everything it could deliver is delivered."""

    reason: Literal["duration", "stopped", "failed"]
    fault: Fault | None = None


Command = Run | Start | Stop | StdoutDiscards
Event = Ready | Prepared | StdoutClosed | Log | Finished
