"""What the daemon knows about itself, read in one go for a scrape."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.engine.endings import Ending
from supervisor.engine.tally import Totals


@dataclass(frozen=True, slots=True)
class Figures:
    """The daemon's own state.

    Attributes:
        starting, spare, running: worker processes; a running one has a scenario.
        pids: of all worker processes, a second ago.
        endings: how many workers ended in which way.
        totals: what all scenarios have done.
        started_total: workers started.
        slack_ns: how late ticks may be fired together with others.
        overloaded: whether the machine cannot keep up, so that ticks are late.
        restarts_total: scenarios that went on in another worker after theirs had gone.
        moves_total: scenarios that left a shared worker that was too hot.
        rows_used, rows_free: rows of the board.
        stdout_closed: whether the reader of stdout is gone.
        log_lines_dropped: log lines that nobody will see.
    """

    starting: int = 0
    spare: int = 0
    running: int = 0
    pids: tuple[int, ...] = ()
    endings: Mapping[Ending, int] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    started_total: int = 0
    slack_ns: int = 0
    overloaded: bool = False
    restarts_total: int = 0
    moves_total: int = 0
    rows_used: int = 0
    rows_free: int = 0
    stdout_closed: bool = False
    log_lines_dropped: int = 0
