"""The entry point of a worker process.

::

    fork from the template ──► Ready ──► parked until Run ──► Prepared ──► Start ──► runner ──► Finished ──► exit 0
                                           ▲  └─ Emit ──► one event ──► Emitted ─┐  └─ failed ─────┘
                                           └─────────────────────────────────────┘

Everything that ends a worker on the way (Stop, SIGTERM, the death of the supervisor) ends it quietly, exit code 0.
"""

import multiprocessing
import signal
import sys
import traceback
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import setproctitle

import worker.delivery
import worker.encoders
import worker.generators
from common.board import WorkerBoard
from common.clock import SystemClock
from common.errors import SondadError, WireError
from common.messages import Emit, Emitted, Fault, Finished, Prepared, Ready, Run, Start
from common.plan import EntryPlan
from worker.control.control import Control
from worker.control.kernel import wake_exactly
from worker.emit import emit
from worker.gates.links import Links
from worker.runner import Runner
from worker.sinks.context import SinkContext

_MAX_TRACEBACK_CHARS: Final = 16_384
_MAX_TITLE_NAME_CHARS: Final = 64


def run(connection: Connection, board_descriptor: int, row_index: int) -> None:
    """Serve one scenario, and single events before it, and return; called in a new process, on its main thread.

    Args:
        connection: the worker's end of its control pipe.
        board_descriptor: the board's memory file.
        row_index: the row that this process alone writes.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this is a child process
    links = Links(board_descriptor, row_index)
    control = Control(connection, parent.sentinel, SystemClock(), links)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: control.terminate())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    wake_exactly()
    setproctitle.setproctitle("sondad: worker (spare)")
    board = WorkerBoard(board_descriptor, row_index)
    try:
        threads = sum(1 for _ in Path("/proc/self/task").iterdir())
        control.send(Ready(threads=threads, preloaded="worker.preload" in sys.modules))
        finished: Finished | None = None
        while finished is None:
            finished = _serve(control.expect(Run, Emit), control, board, links, board_descriptor)
        control.send(finished)
    except WireError:
        # Nobody is left to tell; what could be delivered has been.
        return


def _serve(
    command: Run | Emit | None, control: Control, board: WorkerBoard, links: Links, board_descriptor: int
) -> Finished | None:
    """Do what is asked; return the last message, or None when the worker is to be parked again.

    Whatever goes wrong becomes the fault of the last message.
    """
    try:
        match command:
            case Run():
                name = command.entry.name[:_MAX_TITLE_NAME_CHARS]
                setproctitle.setproctitle(f"sondad: scenario {name} {command.scenario_id}")
                return _run_entry(command.entry, control, board, links, board_descriptor)
            case Emit():
                context = SinkContext(control, SystemClock(), board_descriptor, command.entry)
                control.send(Emitted(latency_ns=emit(context)))
                return None
            case None:
                return Finished(reason="stopped")
    except WireError:
        raise
    except SondadError as exc:
        return Finished(reason="failed", fault=Fault(cause=exc.cause, message=str(exc)))
    except Exception as exc:  # noqa: BLE001 - the process entry: nothing may leave without a reason
        text = traceback.format_exc()[-_MAX_TRACEBACK_CHARS:]
        return Finished(reason="failed", fault=Fault(cause="runtime", message=str(exc), traceback=text))


def _run_entry(plan: EntryPlan, control: Control, board: WorkerBoard, links: Links, board_descriptor: int) -> Finished:
    clock = SystemClock()
    context = SinkContext(waiter=control, clock=clock, lock_descriptor=board_descriptor, plan=plan)
    runner = Runner(
        plan,
        worker.generators.build(plan, control.stop_asked),
        worker.encoders.build(plan),
        partial(worker.delivery.build, context),
        board,
        links,
        control,
        clock,
    )
    control.send(Prepared())
    start = control.expect(Start)
    if start is None:
        return Finished(reason="stopped")
    return Finished(reason=runner.run(start))
