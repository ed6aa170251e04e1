"""The relay's directories: who can reach the sockets in them does not depend on how the relay was started."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.relay.config.directories import LockHeldError, lock_directories


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Every client reaches its socket, and nobody else the state."""
    run_dir, state_dir = tmp_path / "run", tmp_path / "state"
    lock_directories(str(run_dir), str(state_dir))
    modes = [path.stat().st_mode & 0o777 for path in (run_dir, run_dir / "clients", state_dir)]
    assert modes == [0o755, 0o755, 0o700]
    with pytest.raises(LockHeldError):
        lock_directories(str(run_dir), str(state_dir))


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever made it has decided who may enter."""
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    lock_directories(str(run_dir), str(tmp_path / "state"))
    assert run_dir.stat().st_mode & 0o777 == 0o700
