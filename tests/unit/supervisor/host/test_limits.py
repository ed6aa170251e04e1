"""Which limit leaves no room, read from files as the kernel shows them."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.host import limits
from supervisor.host.groups import ControlGroup

MIB = 2**20


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A control group and the one above it; returns what writes a file of the inner one."""
    inner = tmp_path / "inner"
    inner.mkdir()
    lineage = tuple(ControlGroup(path, "cgroup2") for path in (inner, tmp_path))
    monkeypatch.setattr(limits, "own_lineages", lambda: (lineage,))

    def write(name: str, text: str) -> None:
        (inner / name).write_text(f"{text}\n")

    return write


def test_without_limits_there_is_room(group: Callable[[str, str], None]) -> None:
    """Files that are not there, and `max`, set no limit."""
    assert limits.shortage(100) is None
    group("pids.max", "max")
    group("pids.current", "5")
    group("memory.max", "max")
    assert limits.shortage(100) is None


def test_processes_run_out(group: Callable[[str, str], None]) -> None:
    """The limit is named with how many workers there is room for; a reserve is kept."""
    group("pids.max", "60")
    group("pids.current", "40")
    assert limits.shortage(12) is None
    assert limits.shortage(13) == "the control group's limit of 60 processes (pids.max) leaves room for 12"


def test_a_limit_of_the_group_above_counts(group: Callable[[str, str], None], tmp_path: Path) -> None:
    """The tightest of them decides."""
    (tmp_path / "pids.max").write_text("10\n")
    (tmp_path / "pids.current").write_text("10\n")
    assert limits.shortage(1) == "the control group's limit of 10 processes (pids.max) leaves room for 0"


def test_memory_runs_out(group: Callable[[str, str], None]) -> None:
    """What is only a copy of files counts as free."""
    group("memory.max", str(300 * MIB))
    group("memory.current", str(290 * MIB))
    assert limits.shortage(1) == "the control group's limit of memory (memory.max) leaves 10 MiB"
    group("memory.stat", f"anon 5\ninactive_file {150 * MIB}\nactive_file {50 * MIB}")
    assert limits.shortage(20) is None
    assert limits.shortage(50) is not None


def test_descriptors_run_out(group: Callable[[str, str], None]) -> None:
    """The number that the process has decides, and a reserve is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    own = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (own + limits.RESERVED_DESCRIPTORS + 20, hard))
    try:
        assert limits.shortage(5) is None
        assert "open files (ulimit -n) leaves room for" in (limits.shortage(50) or "")
        newest = os.dup(0)
        os.close(newest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest + limits.RESERVED_DESCRIPTORS + 1, hard))
        assert limits.shortage_for_one() is None
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest + limits.RESERVED_DESCRIPTORS, hard))
        assert "open files (ulimit -n) leaves room for 0" in (limits.shortage_for_one() or "")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        assert "open files (ulimit -n)" in (limits.shortage_for_one() or "")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_kills_of_the_kernel_are_counted(group: Callable[[str, str], None]) -> None:
    """Without the file nothing is known, which is none."""
    assert limits.oom_kills() == 0
    group("memory.events", "low 0\noom 2\noom_kill 3")
    assert limits.oom_kills() == 3


def test_a_stopped_process_is_told_from_a_running_one() -> None:
    """And from one that is not there."""
    assert not limits.is_stopped(os.getpid())
    assert not limits.is_stopped(2**22 + 1)
