"""The control groups this process is in, and what they leave of processes and memory; both versions of them.

::

    /proc/self/cgroup     in which group of which hierarchy ──┐
    /proc/self/mountinfo  where the hierarchies are mounted ──┴──► our group and those above it: each may set a limit

Source: the kernel's documentation, "Control Group v2" and "Control Groups version 1"; proc_pid_mountinfo(5).
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple


class _Version(NamedTuple):
    """How a version calls what is read here."""

    most_memory: str
    memory: str
    file_prefix: str
    kills: str


_VERSIONS: Final = {
    "cgroup2": _Version("memory.max", "memory.current", "", "memory.events"),
    "cgroup": _Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "memory.oom_control"),
}


_NO_LIMIT: Final = 2**62
"""Version 1 has no word for it, but a number of memory that no machine has."""
_MOST_BYTES: Final = 2**16
"""More than the longest of these files, `memory.stat`, has; the kernel gives out a file of this length in one read."""


class ControlGroup(NamedTuple):
    """One control group.

    Attributes:
        path: its directory.
        version: the type of its file system.
    """

    path: Path
    version: str

    def free_processes(self) -> tuple[int, int] | None:
        """Return the limit of processes and how many it leaves; None without a limit."""
        most = _number(f"{self.path}/pids.max")
        now = None if most is None else _number(f"{self.path}/pids.current")
        return None if most is None or now is None else (most, most - now)

    def free_memory(self) -> tuple[str, int] | None:
        """Return the name of the limit of memory and the bytes it leaves; None without a limit."""
        names = _VERSIONS[self.version]
        most = _number(f"{self.path}/{names.most_memory}")
        now = None if most is None else _number(f"{self.path}/{names.memory}")
        if most is None or now is None:
            return None
        counts = _counts(f"{self.path}/memory.stat")
        # What is only a copy of files is given back when memory is short.
        files = sum(counts.get(f"{names.file_prefix}{kind}_file", 0) for kind in ("inactive", "active"))
        return names.most_memory, most - now + files

    def oom_kills(self) -> int:
        """Return how many of its processes the kernel has killed because memory was short."""
        return _counts(f"{self.path}/{_VERSIONS[self.version].kills}").get("oom_kill", 0)


Lineage = tuple[ControlGroup, ...]
"""A group and those above it in its hierarchy."""


@cache
def own_lineages() -> tuple[Lineage, ...]:
    """Return our control groups, one of each hierarchy, with those above; none where there are none."""
    try:
        return tuple(lineages(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()))
    except OSError:
        return ()


def lineages(membership: str, mounts: str) -> Iterator[Lineage]:
    """Find the groups that count processes or memory.

    Args:
        membership: text of `/proc/self/cgroup`.
        mounts: text of `/proc/self/mountinfo`.
    """
    paths: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    seen: set[str] = set()
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        root, point = mount.split()[3:5]
        version, _, options = kind.split()[:3]
        if version not in _VERSIONS:
            continue
        # Version 2 has all controllers in one hierarchy, without a name.
        counting = {""} if version == "cgroup2" else {"pids", "memory"} & set(options.split(","))
        for controller in counting & paths.keys() - seen:
            seen.add(controller)
            inside = paths[controller].removeprefix(root.rstrip("/"))
            own = Path(point) / inside.lstrip("/")
            yield tuple(ControlGroup(one, version) for one in (own, *own.parents) if one.is_relative_to(point))


def _number(file: str) -> int | None:
    """Return what a file says; None when it is not there, or sets no limit."""
    text = _text(file).strip()
    number = int(text) if text.isdecimal() else _NO_LIMIT
    return number if number < _NO_LIMIT else None


def _counts(file: str) -> dict[str, int]:
    pairs = [line.split() for line in _text(file).splitlines()]
    return {name: int(value) for name, value in pairs if value.isdecimal()}


def _text(file: str) -> str:
    """Return what a file of the kernel says; nothing when it is not there.

    Read for every worker; `Path.read_text` takes three times as long.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, _MOST_BYTES).decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)
