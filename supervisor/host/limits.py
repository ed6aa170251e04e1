"""What the machine lets this process have: processors, descriptors, processes, memory.

Source: getrlimit(2); the kernel's documentation of control groups, version 2, "pids" and "memory".
"""

import os
import resource
from functools import cache
from pathlib import Path
from typing import Final

from common.errors import StartupError, os_error_text

RESERVED_DESCRIPTORS: Final = 48
"""Kept for clients and files: without them nobody could be told why there is no more."""

DESCRIPTORS_PER_WORKER: Final = 2
DEFAULT_WAKEUPS_PER_CORE: Final = 2000
"""What wake-ups of all workers together may cost: a tenth of a core, more or less."""

_RESERVED_PROCESSES: Final = 8
_RESERVED_BYTES: Final = 48 * 1024 * 1024
_ADDRESS_SPACE_BYTES: Final = 8 * 1024 * 1024 * 1024
_WORKER_BYTES: Final = 6 * 1024 * 1024
_GROUPS: Final = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def raise_descriptor_limit() -> None:
    """Take all descriptors that the hard limit allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require_address_space() -> None:
    """See that what is mapped at start finds addresses; libraries that find none abort without a word of ours.

    Raises:
        StartupError: the limit is too low; says by how much.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _ADDRESS_SPACE_BYTES:
        raise StartupError(
            f"the limit of {limit // 2**20} MiB of address space (ulimit -v) is too low: "
            f"{_ADDRESS_SPACE_BYTES // 2**20} MiB are mapped, of which most is never used"
        )


def descriptors_are_short(newest: int) -> bool:
    """Return whether only the reserve is left; `newest` is a descriptor just got, the lowest that was free."""
    return newest >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS


def shortage(workers: int) -> str | None:
    """Return which limit leaves no room for so many more workers, in words; None when there is room."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        free = limit - sum(1 for _ in Path("/proc/self/fd").iterdir()) - RESERVED_DESCRIPTORS
    except OSError as exc:
        return f"{os_error_text(exc)}: the limit of {limit} open files (ulimit -n)"
    if free < workers * DESCRIPTORS_PER_WORKER:
        return f"the limit of {limit} open files (ulimit -n) leaves room for {max(free // DESCRIPTORS_PER_WORKER, 0)}"
    for group in _own_groups():
        most, now = _number(group / "pids.max"), _number(group / "pids.current")
        if most is not None and now is not None and most - now - _RESERVED_PROCESSES < workers:
            return f"the control group's limit of {most} processes (pids.max) leaves room for {_room(most - now)}"
        free_bytes = _free_bytes(group)
        if free_bytes is not None and free_bytes < workers * _WORKER_BYTES + _RESERVED_BYTES:
            return f"the control group's limit of memory (memory.max) leaves {free_bytes // 2**20} MiB"
    return None


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped by a signal or a debugger. Source: proc_pid_stat(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")


def oom_kills() -> int:
    """Return how many processes of our control group the kernel has killed because memory was short."""
    for group in _own_groups()[:1]:
        try:
            lines = (group / "memory.events").read_text().splitlines()
        except OSError:
            return 0
        counts = dict(line.split() for line in lines)
        return int(counts.get("oom_kill", 0))
    return 0


def _room(processes: int) -> int:
    return max(processes - _RESERVED_PROCESSES, 0)


@cache
def _own_groups() -> tuple[Path, ...]:
    """Return our control group and those above it; none where there is no version 2."""
    try:
        (line,) = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return ()
    own = _GROUPS / line.removeprefix("0::").lstrip("/")
    return tuple(group for group in (own, *own.parents) if group.is_relative_to(_GROUPS))


def _number(file: Path) -> int | None:
    """Return what a file of the group says; None when it is not there, or sets no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _free_bytes(group: Path) -> int | None:
    most, now = _number(group / "memory.max"), _number(group / "memory.current")
    if most is None or now is None:
        return None
    try:
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        counts = {}
    # What is only a copy of files is given back when memory is short.
    return most - now + int(counts.get("inactive_file", 0)) + int(counts.get("active_file", 0))
