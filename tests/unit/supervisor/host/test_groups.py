"""Control groups of both versions, found in what the kernel shows and read from their files."""

from pathlib import Path

import pytest

from supervisor.host.groups import ControlGroup, lineages

MIB = 2**20
VERSION_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
VERSION_1 = """\
24 23 0:24 / / rw - overlay overlay rw
33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 32 0:32 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
36 32 0:33 /box /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 32 0:34 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"""


def paths(membership: str, mounts: str) -> list[list[str]]:
    return [[str(group.path) for group in lineage] for lineage in lineages(membership, mounts)]


@pytest.mark.parametrize(
    ("membership", "found"),
    [
        ("0::/", ["/sys/fs/cgroup"]),
        (
            "0::/system.slice/a b.service\n",
            ["/sys/fs/cgroup/system.slice/a b.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"],
        ),
    ],
)
def test_one_hierarchy_has_everything(membership: str, found: list[str]) -> None:
    """Version 2: our group, and those above it up to the mount point."""
    assert paths(membership, VERSION_2) == [found]


def test_each_controller_has_its_hierarchy() -> None:
    """Version 1, also as a container sees it, whose root is a group of the host; others count nothing of ours."""
    membership = "9:cpu,cpuacct:/x\n8:pids:/one/two\n4:memory:/box/inner\n0::/elsewhere\n"
    assert paths(membership, VERSION_1) == [
        ["/sys/fs/cgroup/pids/one/two", "/sys/fs/cgroup/pids/one", "/sys/fs/cgroup/pids"],
        ["/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory"],
        ["/sys/fs/cgroup/unified/elsewhere", "/sys/fs/cgroup/unified"],
    ]


def test_a_second_mount_adds_nothing() -> None:
    """The first one is read."""
    again = VERSION_2.replace("/sys/fs/cgroup", "/mnt/again")
    assert paths("0::/a", f"{VERSION_2}\n{again}") == [["/sys/fs/cgroup/a", "/sys/fs/cgroup"]]


def test_without_hierarchies_there_are_no_groups() -> None:
    """Such as in a jail without /sys."""
    assert paths("0::/a", "24 23 0:24 / / rw - overlay overlay rw") == []
    assert paths("", VERSION_2) == []


@pytest.mark.parametrize(
    ("version", "most", "now", "prefix", "kills"),
    [
        ("cgroup2", "memory.max", "memory.current", "", "memory.events"),
        ("cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "memory.oom_control"),
    ],
)
def test_memory(tmp_path: Path, version: str, most: str, now: str, prefix: str, kills: str) -> None:
    """Copies of files count as free; without files of the controller there is no limit."""
    group = ControlGroup(tmp_path, version)
    assert (group.free_memory(), group.free_processes(), group.oom_kills()) == (None, None, 0)
    (tmp_path / most).write_text(f"{300 * MIB}\n")
    (tmp_path / now).write_text(f"{290 * MIB}\n")
    assert group.free_memory() == (most, 10 * MIB)
    (tmp_path / "memory.stat").write_text(f"cache 1\n{prefix}inactive_file {20 * MIB}\n{prefix}active_file {MIB}\n")
    assert group.free_memory() == (most, 31 * MIB)
    (tmp_path / most).write_text(f"{2**63 - 4096}\n")
    assert group.free_memory() is None
    (tmp_path / kills).write_text("under_oom 0\noom_kill 3\n")
    assert group.oom_kills() == 3


def test_processes(tmp_path: Path) -> None:
    """`max` is no limit; fewer than none may be left where a limit was lowered."""
    (tmp_path / "pids.current").write_text("41\n")
    (tmp_path / "pids.max").write_text("max\n")
    assert ControlGroup(tmp_path, "cgroup").free_processes() is None
    (tmp_path / "pids.max").write_text("40\n")
    assert ControlGroup(tmp_path, "cgroup2").free_processes() == (40, -1)
