"""A worker that hosts entries: they come and go, share its wake-ups, and end apart."""

from contextlib import suppress
from functools import partial

import setproctitle

from common.board import WorkerBoard
from common.clock import SystemClock
from common.errors import WireError
from common.messages import Finished, Run
from worker.control.control import Control
from worker.control.hub import Berth, Hub
from worker.gates.links import Links
from worker.serve import Seat, fault_of, serve


def host(control: Control, board_descriptor: int) -> None:
    """Host entries until the process is to exit, and each has ended.

    Args:
        control: the process.
        board_descriptor: the board's memory file.
    """
    hub = Hub(control, SystemClock())
    hosted = -1
    while hub or not control.stopping:
        if len(hub) != hosted:
            hosted = len(hub)
            setproctitle.setproctitle(f"sondad: worker ({hosted} scenarios)")
        hub.turn()
        while (command := control.take()) is not None:
            if isinstance(command, Run):
                hub.host(partial(_run, command, control, board_descriptor))
    hub.close()


def _run(command: Run, control: Control, board_descriptor: int, berth: Berth) -> None:
    assert command.row is not None  # noqa: S101 - one of several entries has a row of its own
    # Without a supervisor nobody is left to tell, and every entry is stopped.
    with suppress(WireError):
        try:
            links = Links(board_descriptor, command.row)
            seat = Seat(WorkerBoard(board_descriptor, command.row), links, board_descriptor, berth)
        except OSError as exc:
            finished = Finished(reason="failed", fault=fault_of(exc), scenario_id=command.scenario_id)
        else:
            finished = serve(command, control, seat)
            links.close()
        control.send(finished)
