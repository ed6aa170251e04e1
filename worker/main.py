"""The entry point of a worker process.

::

    fork from the template ──► Ready ──► parked until Run ──► Prepared ──► Start ──► runner ──► Finished ──► exit 0

Everything that ends a worker on the way (Stop, SIGTERM, the death of the supervisor) ends it quietly, exit code 0.
"""

import multiprocessing
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import setproctitle

import worker.encoders
import worker.generators
import worker.sinks
from common.board import WorkerBoard
from common.clock import SystemClock
from common.errors import SondadError, WireError
from common.messages import Fault, Finished, Prepared, Ready, Run, Start
from worker.control import Control
from worker.kernel import wake_exactly
from worker.links import Links
from worker.runner import Runner
from worker.sinks.context import SinkContext

_MAX_TRACEBACK_CHARS: Final = 16_384
_MAX_TITLE_NAME_CHARS: Final = 64


def run(connection: Connection, board_descriptor: int, row_index: int) -> None:
    """Serve one scenario and return; called in a new process, on its main thread.

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
        command = control.expect(Run)
        if command is not None:
            name = command.entry.name[:_MAX_TITLE_NAME_CHARS]
            setproctitle.setproctitle(f"sondad: scenario {name} {command.scenario_id}")
            control.send(_run_entry(command, control, board, links, board_descriptor))
    except WireError:
        # Nobody is left to tell; what could be delivered has been.
        return


def _run_entry(command: Run, control: Control, board: WorkerBoard, links: Links, board_descriptor: int) -> Finished:
    """Build and run; whatever goes wrong becomes the fault of the last message."""
    clock = SystemClock()
    plan = command.entry
    try:
        context = SinkContext(waiter=control, clock=clock, lock_descriptor=board_descriptor, plan=plan)
        runner = Runner(
            plan,
            worker.generators.build(plan, control.stop_asked),
            worker.encoders.build(plan),
            worker.sinks.build(plan.sink, context),
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
    except WireError:
        raise
    except SondadError as exc:
        return Finished(reason="failed", fault=Fault(kind=type(exc).__name__, message=str(exc)))
    except Exception as exc:  # noqa: BLE001 - the process entry: nothing may leave without a reason
        text = traceback.format_exc()[-_MAX_TRACEBACK_CHARS:]
        return Finished(reason="failed", fault=Fault(kind=type(exc).__name__, message=str(exc), traceback=text))
