"""The entry point of a worker process.

::

    fork from the template ──► Ready ──► parked until Run ──► Prepared ──► Start ──► runner ──► Finished ──► exit 0
                                           ▲  └─ Emit ──► one event ──► Emitted ─┐  └─ failed ─────┘
                                           ├─────────────────────────────────────┘
                                           └─ Previewed ◄── curves ◄── Preview
                                 Host ──► several entries, each from Run to Finished, until Stop ──► exit 0

Everything that ends a worker on the way (Stop, SIGTERM, the death of the supervisor) ends it quietly, exit code 0.
"""

import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import setproctitle

from common.board import WorkerBoard
from common.clock import SystemClock
from common.errors import WireError
from common.forking import SharedFiles
from common.messages import Emit, Finished, Host, Preview, Ready, Run
from common.printable import printable
from worker.control.control import Control
from worker.control.kernel import give_way, wake_exactly
from worker.delivery.dealing import lanes_of
from worker.gates.links import Links
from worker.serve import Seat, deliver, foresee, serve
from worker.warming import warm_up

_MAX_TITLE_NAME_CHARS: Final = 64

_IGNORED_SIGNALS: Final = (
    # Ctrl-C and the end of a terminal reach the whole process group: they are the supervisor's affair.
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGPIPE,
    # They mean nothing to us, and by default they end a process.
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)


def run(connection: Connection, files: SharedFiles, row: int, alive_descriptor: int) -> None:
    """Serve one scenario, and single events before it, and return; called in a new process, on its main thread.

    Args:
        connection: the worker's end of its control pipe.
        files: what all workers have open.
        row: the row of the board that this process alone writes.
        alive_descriptor: readable when the supervisor is gone.
    """
    control = Control(connection, alive_descriptor, SystemClock())
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: control.terminate())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    wake_exactly()
    setproctitle.setproctitle("sondad: worker (spare)")
    seat = Seat(WorkerBoard(files.board, row), Links(files.board, row), row, files)
    warm_up(runs=1)
    try:
        threads = sum(1 for _ in Path("/proc/self/task").iterdir())
        control.send(Ready(threads=threads, preloaded="worker.preload" in sys.modules))
        finished = _served(control, seat)
        if finished is not None:
            control.send(finished)
    except WireError:
        # Nobody is left to tell; what could be delivered has been.
        return


def _served(control: Control, seat: Seat) -> Finished | None:
    """Deliver single events until there is an entry to run, or several, and run them; return the last message."""
    while True:
        match control.expect():
            case Run() as command:
                give_way()
                name = printable(command.entry.name[:_MAX_TITLE_NAME_CHARS])
                setproctitle.setproctitle(f"sondad: scenario {name} {command.scenario_id}")
                if lanes_of(command.entry) == 1:
                    return serve(command, control, seat)
                # Imported here, for a worker that does one thing at a time needs no greenlets.
                from worker.host import host_alone

                return host_alone(command, control, seat)
            case Host():
                give_way()
                from worker.host import host

                host(control, seat.files)
                return None
            case Emit() | Preview() as command:
                outcome = foresee(command) if isinstance(command, Preview) else deliver(command, control, seat)
                if isinstance(outcome, Finished):
                    return outcome
                control.send(outcome)
            case None:
                return Finished(reason="stopped")
