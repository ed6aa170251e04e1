"""Where one entry hangs in gates: the bells it rings as an upstream, and the one it hears as a downstream."""

import os

from common.gate_cell import GateCell
from common.messages import Follow, Lose, Unwatch, Watch
from worker.gates.upstream import GateUpstream
from worker.gates.watchers import Watchers

LinkCommand = Watch | Unwatch | Follow | Lose


class Links:
    """Both sides of gates, kept up to date by the supervisor's commands.

    Args:
        board_descriptor: the board's memory file.
        row_index: the entry's row.

    Attributes:
        watchers: who watches the entry.
        upstream: whom its gate watches.
        bell: the descriptor that is readable when `upstream` has something new, or None.
        rung: whether something new was announced since this was last set to False.
    """

    def __init__(self, board_descriptor: int, row_index: int) -> None:
        self.watchers = Watchers(GateCell(board_descriptor, row_index, writable=True))
        self.upstream = GateUpstream(board_descriptor)
        self.bell: int | None = None
        self.rung = False

    def take(self, command: LinkCommand, bell: int | None) -> None:
        """Follow a command; `bell` is the descriptor that came behind it, owned from here on, or None."""
        match command:
            case Watch():
                assert bell is not None  # noqa: S101 - one follows this command
                self.watchers.add(command, bell)
            case Unwatch(wire_id=wire_id):
                self.watchers.remove(wire_id)
            case Follow(row=row):
                self._hang(bell)
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

    def close(self) -> None:
        """Close every bell."""
        self._hang(None)
        self.watchers.close()

    def _hang(self, bell: int | None) -> None:
        if self.bell is not None:
            os.close(self.bell)
        self.bell = bell
