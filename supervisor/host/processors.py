"""How much of the processors' time is taken. Source: proc_stat(5)."""

import os
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
_NS_PER_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS: Final = (3, 4)
"""`idle` and `iowait`, counted from `user`."""


class ProcessorTime:
    """The share of all processors that was taken, from one call to the next; by other programs too."""

    def __init__(self) -> None:
        self._before = _ticks()

    def busy_share(self) -> float:
        """Return the share since the last call, from 0 to 1; 1 where nobody knows."""
        total, idle = _ticks()
        total_before, idle_before = self._before
        self._before = total, idle
        passed = total - total_before
        return 1 - (idle - idle_before) / passed if passed > 0 else 1.0


def process_cpu_ns(pid: int) -> int | None:
    """Return the processor time of a process; None when it is gone. Source: proc_pid_stat(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * _NS_PER_TICK


def _ticks() -> tuple[int, int]:
    """Return the clock ticks of all processors together since the start of the machine, and the idle ones of them."""
    try:
        with _STAT.open() as file:
            counts = [int(text) for text in file.readline().split()[1:9]]
    except OSError:
        return 0, 0
    return sum(counts), sum(counts[place] for place in _IDLE_FIELDS)
