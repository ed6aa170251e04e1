"""What the machine lets this process have: processors, descriptors, processes, memory.

Source: getrlimit(2).
"""

import os
import resource
from itertools import chain
from pathlib import Path
from typing import Final

from common.errors import StartupError, os_error_text
from supervisor.host.groups import own_lineages

RESERVED_DESCRIPTORS: Final = 48
"""Kept for clients and files: without them nobody could be told why there is no more."""

DESCRIPTORS_PER_WORKER: Final = 2
DEFAULT_WAKEUPS_PER_CORE: Final = 1000
"""What wake-ups of all workers together may cost: a twentieth of a core, more or less."""

DEFAULT_MAX_SLACK_MS: Final = 250
"""How late ticks are fired at most for the machine's sake, unless the user allows more."""

_RESERVED_PROCESSES: Final = 8
_RESERVED_BYTES: Final = 48 * 1024 * 1024
_ADDRESS_SPACE_BYTES: Final = 14 * 1024 * 1024 * 1024
_WORKER_BYTES: Final = 6 * 1024 * 1024


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
        free = limit - len(os.listdir("/proc/self/fd")) - RESERVED_DESCRIPTORS  # noqa: PTH208 - paths take long
    except OSError as exc:
        return f"{os_error_text(exc)}: {_of_descriptors()}"
    if free < workers * DESCRIPTORS_PER_WORKER:
        return f"{_of_descriptors()} leaves room for {max(free // DESCRIPTORS_PER_WORKER, 0)}"
    return _group_shortage(workers)


def shortage_for_one() -> str | None:
    """Return the same for one worker; takes the same time however many descriptors there are."""
    try:
        newest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        return f"{os_error_text(exc)}: {_of_descriptors()}"
    os.close(newest)
    return f"{_of_descriptors()} leaves room for 0" if descriptors_are_short(newest) else _group_shortage(1)


def _of_descriptors() -> str:
    return f"the limit of {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files (ulimit -n)"


def _group_shortage(workers: int) -> str | None:
    for group in chain.from_iterable(own_lineages()):
        processes, memory = group.free_processes(), group.free_memory()
        if processes is not None and processes[1] - _RESERVED_PROCESSES < workers:
            room = max(processes[1] - _RESERVED_PROCESSES, 0)
            return f"the control group's limit of {processes[0]} processes (pids.max) leaves room for {room}"
        if memory is not None and memory[1] < workers * _WORKER_BYTES + _RESERVED_BYTES:
            return f"the control group's limit of memory ({memory[0]}) leaves {max(memory[1], 0) // 2**20} MiB"
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
    return sum(lineage[0].oom_kills() for lineage in own_lineages())
