"""What the daemon knows about itself, read in one go by whoever scrapes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.board import Board
from common.logs import LineWriter
from supervisor.engine.endings import Ending
from supervisor.engine.pool import Pool
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.tally import Tally, Totals


@dataclass(frozen=True, slots=True)
class Figures:
    """The daemon's own state.

    Attributes:
        starting, spare, running: worker processes; a running one has a scenario.
        endings: how many workers ended in which way.
        totals: what all scenarios have done.
        started_total: workers started.
        slack_ns: how late ticks may be fired together with others.
        rows_used, rows_free: rows of the board.
        stdout_closed: whether the reader of stdout has gone.
        log_lines_dropped: log lines that nobody will see.
    """

    starting: int = 0
    spare: int = 0
    running: int = 0
    endings: Mapping[Ending, int] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    started_total: int = 0
    slack_ns: int = 0
    rows_used: int = 0
    rows_free: int = 0
    stdout_closed: bool = False
    log_lines_dropped: int = 0


def read_figures(board: Board, pool: Pool[WorkerProcess], tally: Tally, logs: LineWriter) -> Figures:
    """Return the figures of now; callable from any thread."""
    free = pool.free_rows
    return Figures(
        starting=len(pool.starting),
        spare=len(pool.spares),
        running=tally.running,
        endings=tally.endings,
        totals=tally.totals(),
        started_total=pool.started_total,
        slack_ns=board.slack_ns(),
        rows_used=board.rows - free,
        rows_free=free,
        stdout_closed=tally.stdout_closed,
        log_lines_dropped=logs.dropped_total,
    )
