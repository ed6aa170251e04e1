"""Where one worker hangs in gates: the bells it rings as an upstream, and the one it hears as a downstream."""

import os
from multiprocessing.connection import Connection

from common.gate_cell import GateCell
from common.messages import Follow, Lose, Unwatch, Watch
from common.wire import receive_descriptor
from worker.gates.upstream import Upstream
from worker.gates.watchers import Watchers

LinkCommand = Watch | Unwatch | Follow | Lose


class Links:
    """Both sides of gates, kept up to date by the supervisor's commands.

    Args:
        board_descriptor: the board's memory file.
        row_index: this worker's row.

    Attributes:
        watchers: who watches this worker's entry.
        upstream: whom this worker's gate watches.
        bell: the descriptor that is readable when `upstream` has something new, or None.
        rung: whether something new was announced since this was last set to False.
    """

    def __init__(self, board_descriptor: int, row_index: int) -> None:
        self.watchers = Watchers(GateCell(board_descriptor, row_index, writable=True))
        self.upstream = Upstream(board_descriptor)
        self.bell: int | None = None
        self.rung = False

    def take(self, command: LinkCommand, connection: "Connection") -> None:
        """Follow a command that came on `connection`, with its bell behind it where one belongs to it.

        Raises:
            WireError: the supervisor is gone.
        """
        match command:
            case Watch():
                self.watchers.add(command, receive_descriptor(connection))
            case Unwatch(slot=slot):
                self.watchers.remove(slot)
            case Follow(row=row):
                self._hang(receive_descriptor(connection))
                self.upstream.follow(row)
                self.rung = True
            case Lose():
                self._hang(None)
                self.upstream.lose()
                self.rung = True

    def hear(self) -> None:
        """Note that the bell has rung."""
        assert self.bell is not None  # noqa: S101 - it was waited for
        os.eventfd_read(self.bell)
        self.rung = True

    def _hang(self, bell: int | None) -> None:
        if self.bell is not None:
            os.close(self.bell)
        self.bell = bell
