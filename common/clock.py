"""The two clocks, behind one protocol so that pure code takes a clock instead of calling one."""

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds of the monotonic and of the wall clock."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds; on Linux the same in every process."""
        ...

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch."""
        ...


class SystemClock:
    """The operating system's clocks."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)
