"""How much memory processes have. Source: proc_pid_smaps(5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_MOST_LOOKED_AT: Final = 64
"""The kernel walks all pages of a process for the answer, which takes about a third of a millisecond."""


def processes_bytes(pids: Sequence[int]) -> int:
    """Return the memory of `pids` in bytes, each with its part of what it shares; those that are gone count nothing.

    Of more than 64 processes some are looked at, spread evenly, and stand for the others.
    """
    step = len(pids) // _MOST_LOOKED_AT + 1
    looked_at = pids[::step]
    found = [_bytes(pid) for pid in looked_at]
    return round(sum(found) * len(pids) / len(looked_at)) if looked_at else 0


def _bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        # It has ended.
        return 0
    return 0
