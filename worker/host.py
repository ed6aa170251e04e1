"""A worker whose entries wait in turns: several that come and go and end apart, or one with lanes beside it."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import setproctitle

from common.board import BoardHeader, WorkerBoard
from common.clock import SystemClock
from common.errors import WireError
from common.forking import SharedFiles
from common.messages import Finished, Run
from worker.control.control import Control
from worker.control.hub import Berth, Hub
from worker.gates.links import Links
from worker.serve import Seat, fault_of, serve


def host(control: Control, files: SharedFiles) -> None:
    """Host entries until the process is to exit, and each has ended.

    Args:
        control: the process.
        files: what all workers have open.
    """
    hub = Hub(control, SystemClock(), BoardHeader(files.board).slack_ns)
    guests: set[str | None] = set()
    hosted = -1
    while hub or not control.stopping:
        if len(guests) != hosted:
            hosted = len(guests)
            setproctitle.setproctitle(f"sondad: worker ({hosted} scenarios)")
        hub.turn()
        while (command := control.take()) is not None:
            if isinstance(command, Run):
                guests.add(command.scenario_id)
                hub.host(partial(_run, command, control, files, guests))
    hub.close()


def host_alone(command: Run, control: Control, seat: Seat) -> Finished:
    """Serve one entry with lanes beside it, as `serve`.

    Raises:
        WireError: the supervisor is gone.
    """
    hub = Hub(control, SystemClock(), seat.board.slack_ns)
    ended: list[Finished | WireError] = []

    def run(berth: Berth) -> None:
        try:
            ended.append(serve(command, control, replace(seat, place=berth)))
        except WireError as exc:
            ended.append(exc)

    hub.host(run)
    while hub:
        hub.turn()
    hub.close()
    (end,) = ended
    if isinstance(end, WireError):
        raise end
    return end


def _run(command: Run, control: Control, files: SharedFiles, guests: set[str | None], berth: Berth) -> None:
    assert command.row is not None  # noqa: S101 - one of several entries has a row of its own
    # Without a supervisor nobody is left to tell, and every entry is stopped.
    with suppress(WireError):
        try:
            links = Links(files.board, command.row)
            seat = Seat(WorkerBoard(files.board, command.row), links, command.row, files, berth)
        except OSError as exc:
            finished = Finished(reason="failed", fault=fault_of(exc), scenario_id=command.scenario_id)
        else:
            finished = serve(command, control, seat)
            links.close()
        guests.discard(command.scenario_id)
        control.send(finished)
