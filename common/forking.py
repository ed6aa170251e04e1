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
from typing import Final

REQUEST: Final = struct.Struct("<QQQ")
ANSWER: Final = struct.Struct("<Qiq")


class Kind(enum.IntEnum):
    """What an answer of the template is about."""

    READY = 0
    FORKED = 1
    REFUSED = 2
    EXITED = 3
