"""What the control plane and the template say to each other: single packets, keyed by the number of a worker.

::

    control plane ══REQUEST(number, row, memory limit) + [control pipe]══► template
                  ◄════════════ANSWER(0, READY, 0)═════════════════════   it has imported everything
                  ◄════════════ANSWER(number, FORKED, pid) + [pidfd]═══
                  ◄════════════ANSWER(number, REFUSED, errno)══════════   the system refuses a process or descriptor
                  ◄════════════ANSWER(number, EXITED, exit code)═══════   negative for a signal
"""

import enum
import struct
from typing import Final, NamedTuple

REQUEST: Final = struct.Struct("<QQQ")
ANSWER: Final = struct.Struct("<Qiq")


class SharedFiles(NamedTuple):
    """Descriptors that every worker inherits.

    Attributes:
        board: the board's memory file.
        checkpoints: see `common.checkpoints`.
    """

    board: int
    checkpoints: int


class TemplateAnswer(enum.IntEnum):
    """What an answer of the template is about."""

    READY = 0
    FORKED = 1
    REFUSED = 2
    EXITED = 3
