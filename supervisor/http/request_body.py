"""Requests while they are received: how much of each is kept, and how much of all of them together.

::

    control route       kept up to the limit │ dropped while it comes │ refused: answered now, then the connection ends
                        ─────────────────────┴────────────────────────┴──────────────────────────────────────────────►
                                     limit                 limit + DRAINED_BYTES                            body size
    any other route, and whatever is going to be refused:   dropped while it comes, however long

A client that sends a body a little too long gets the answer 413 and keeps the connection; an answer in the middle of
a long body would often be lost, because the sender only sees the connection break. Source: docs/http.md, "Limits".
"""

import io
import threading
from typing import Final

DRAINED_BYTES: Final = 16 * 1024 * 1024
FREE_HEAD_BYTES: Final = 4 * 1024
ALL_BODIES_BYTES: Final = 64 * 1024 * 1024
HALF_HEADS_BYTES: Final = 2 * 1024 * 1024


class ByteBudget:
    """What all requests being received or served may take together, heads or bodies; used in any thread.

    Args:
        limit_bytes: of all of them.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes
        self._lock = threading.Lock()

    def take(self, wanted_bytes: int) -> bool:
        """Take so much; False, and nothing taken, when there is not so much left."""
        with self._lock:
            is_there = wanted_bytes <= self._free_bytes
            if is_there:
                self._free_bytes -= wanted_bytes
            return is_there

    def give_back(self, taken_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._free_bytes += taken_bytes


class HalfHead:
    """A head of which only the beginning has come. The first FREE_HEAD_BYTES are everybody's.

    Args:
        budget: what the others are taken from.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._taken_bytes = 0

    def __del__(self) -> None:
        self.close()

    def grew(self, head_bytes: int) -> bool:
        """Note how long it is by now; False when there are too many others."""
        wanted = max(head_bytes - FREE_HEAD_BYTES, 0) - self._taken_bytes
        if not self._budget.take(wanted):
            return False
        self._taken_bytes += wanted
        return True

    def close(self) -> None:
        """Forget it; nothing happens the second time."""
        self._budget.give_back(self._taken_bytes)
        self._taken_bytes = 0


class KeptBody:
    """A body being received: its head, and how long it is.

    Args:
        kept_bytes: how much of it is kept.
        budget: what it is taken from.

    Attributes:
        is_over_budget: whether it had to be forgotten because there are too many others.
    """

    def __init__(self, kept_bytes: int, budget: ByteBudget) -> None:
        self._kept_bytes = kept_bytes
        self._budget = budget
        self._taken_bytes = 0
        self._file = io.BytesIO()
        self._length = 0
        self.is_over_budget = False

    def __len__(self) -> int:
        return self._length

    def __del__(self) -> None:
        self.close()

    def append(self, part: bytes) -> None:
        """Receive another part."""
        kept = part[: max(self._kept_bytes - self._length, 0)]
        self._length += len(part)
        if not kept:
            return
        if self._budget.take(len(kept)):
            self._taken_bytes += len(kept)
            self._file.write(kept)
        else:
            self.is_over_budget = True
            self._kept_bytes = 0
            self.close()

    def getfile(self) -> io.BytesIO:
        """Return what was kept, to be read from its start."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Forget it; nothing happens the second time."""
        self._file.close()
        self._budget.give_back(self._taken_bytes)
        self._taken_bytes = 0
