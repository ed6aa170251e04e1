"""How soon a thread gets a processor after it has woken, on a machine whose processors are all taken.

Linux lets an ordinary thread say how long a slice of processor time it wants. Whoever wants short ones runs soon, for
less at a time; the shares of the machine stay the same. Source: sched_setattr(2); kernels before 6.12 have slices for
other threads only, and ignore what is asked here.
"""

import ctypes
import os
import platform
import struct
from typing import Final

USUAL_SLICE_NS: Final = 0
"""What the kernel chooses, 1 to 3 ms."""

SHORT_SLICE_NS: Final = 100_000
"""The shortest that there is: for those that answer and wait again."""

LONG_SLICE_NS: Final = 15_000_000
"""For those that never wait. The kernel takes a processor away at its ticks only, 1 to 4 ms apart. Of usual slices all
get more than they asked for, others are owed that, and whoever wakes comes behind all who are owed much."""

_SYSTEM_CALL: Final = {"x86_64": 314, "aarch64": 274}
_KEEP_POLICY: Final = 0x08
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""Size, policy, flags, niceness, priority, slice, deadline, period."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def ask_for_slices(slice_ns: int) -> None:
    """Ask for slices of that length for the calling thread, and for all threads and processes that it starts.

    Raises:
        OSError: the system does not allow it.
    """
    number = _SYSTEM_CALL.get(platform.machine())
    if number is None:
        return
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, _KEEP_POLICY, niceness, 0, slice_ns, 0, 0)
    if _libc.syscall(number, 0, attributes, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
