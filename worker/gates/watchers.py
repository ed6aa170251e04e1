"""The upstream's side of gates: every value is published, and those that watch it are told when their gate changes.

Source: docs/states.md, "Gates".
"""

import fcntl
import os
from dataclasses import dataclass
from typing import Final, Literal

from common.gate_cell import GateCell
from common.messages import Watch

# select() takes descriptors below 1024 only, and a sink opened later needs one of those.
_BEYOND_SELECT: Final = 1024


def is_open(op: Literal["<", ">"], value: float, threshold: float) -> bool:
    """Return the verdict on `value`; equal is closed, and so is NaN."""
    return value < threshold if op == "<" else value > threshold


@dataclass(slots=True)
class _Watcher:
    op: Literal["<", ">"]
    threshold: float
    bell: int
    verdict: bool


class Watchers:
    """Every gate that watches one entry.

    Args:
        cell: where the entry's newest value is shown.

    Attributes:
        are_there: whether anybody watches.
    """

    def __init__(self, cell: GateCell) -> None:
        self._cell = cell
        self._watchers: dict[int, _Watcher] = {}
        self.are_there = False

    def add(self, command: Watch, bell: int) -> None:
        """Ring `bell`, which belongs to the watchers from now on, whenever its verdict changes; and now.

        Values may have been published since the one who watches has looked, so that it has to look again.
        """
        newest = self._cell.newest()
        verdict = newest is not None and is_open(command.op, newest, command.value)
        watcher = _Watcher(command.op, command.value, _moved_away(bell), verdict)
        self._watchers[command.wire_id] = watcher
        self.are_there = True
        if newest is not None:
            os.eventfd_write(watcher.bell, 1)

    def remove(self, wire_id: int) -> None:
        """Forget a bell; nothing happens when there is none, because it could not be handed over."""
        watcher = self._watchers.pop(wire_id, None)
        self.are_there = bool(self._watchers)
        if watcher is not None:
            os.close(watcher.bell)

    def close(self) -> None:
        """Forget every bell."""
        for wire_id in list(self._watchers):
            self.remove(wire_id)

    def publish(self, value: float, now_ns: int) -> None:
        """Show `value` at `now_ns` (monotonic), and ring the bells of those for whom it makes a difference."""
        is_first = self._watchers and self._cell.newest() is None
        self._cell.publish(value, now_ns)
        for watcher in self._watchers.values():
            verdict = is_open(watcher.op, value, watcher.threshold)
            if verdict is not watcher.verdict or is_first:
                watcher.verdict = verdict
                os.eventfd_write(watcher.bell, 1)


def _moved_away(descriptor: int) -> int:
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _BEYOND_SELECT)
    except OSError:
        # The limit of descriptors is no higher than that, so there are none beyond.
        return descriptor
    os.close(descriptor)
    return moved
