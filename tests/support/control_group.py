"""Control groups of a test's own, with limits; the kernel enforces them. Source: see `supervisor/host/groups.py`."""

from typing import Final

from supervisor.host.groups import ControlGroup, own_lineages
from tests.support.polling import wait_until

CANNOT_LIMIT: Final = "no control group can be made here"
_CGROUP2: Final = "cgroup2"


class LimitedGroup:
    """One group for each hierarchy, empty so far.

    Args:
        name: of the new directories.
        processes: how many there may be in it; None is unlimited.
        memory_bytes: what they may use together; None is unlimited.

    Raises:
        OSError: this machine or user makes no groups, or none with such limits.
    """

    def __init__(self, name: str, processes: int | None = None, memory_bytes: int | None = None) -> None:
        self._groups: list[ControlGroup] = []
        unset = {"pids": processes, "memory": memory_bytes}
        for lineage in own_lineages():
            directory = lineage[0].path / name
            directory.mkdir()
            self._groups.append(ControlGroup(directory, lineage[0].version))
            files = {"pids": "pids.max", "memory": "memory.max"}
            if lineage[0].version != _CGROUP2:
                files["memory"] = "memory.limit_in_bytes"
            for limited, file in files.items():
                if unset[limited] is not None and (directory / file).exists():
                    (directory / file).write_text(str(unset[limited]))
                    unset[limited] = None
        if any(limit is not None for limit in unset.values()):
            self.remove()
            raise OSError(f"no controller for {unset}")

    def command(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` in the group."""
        joining = "; ".join(f"echo $$ >{group.path}/cgroup.procs" for group in self._groups)
        return ("/bin/sh", "-euc", f'{joining}; exec "$@"', "sh", *command)

    def oom_kills(self) -> int:
        """Return how many processes of the group the kernel has killed because memory was short."""
        return sum(group.oom_kills() for group in self._groups)

    def remove(self) -> None:
        """Remove it, once nobody is in it."""
        for group in self._groups:
            members = group.path / "cgroup.procs"
            wait_until(lambda members=members: not members.read_text(), "nobody is in the group")  # type: ignore[misc]
            group.path.rmdir()
