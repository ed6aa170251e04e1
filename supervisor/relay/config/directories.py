"""The relay's directories, and the locks that keep a second relay out of them.

Source: examples/relay.yaml; docs/relay.md, "Starting and stopping one client".
"""

import contextlib
import fcntl
import os
from pathlib import Path

from common.errors import SondadError, StartupError
from supervisor.host.folders import foreign_hand


class LockHeldError(SondadError):
    """Another relay uses the same directories."""


def lock_directories(run_dir: str, state_dir: str) -> None:
    """Create both directories and lock them for the life of the process.

    Raises:
        LockHeldError: another relay holds a lock.
        StartupError: a directory cannot be created, or others may write to it.
    """
    try:
        for folder, mode in ((run_dir, 0o755), (state_dir, 0o700)):
            _make(Path(folder), mode)
            _refuse_foreign(folder)
        _make(Path(run_dir, "clients"), 0o755)
        for folder in (run_dir, state_dir):
            _lock(Path(folder, "relay.lock"))
    except OSError as exc:
        raise StartupError(f"cannot prepare {exc.filename}: {exc.strerror}; create it or choose another path") from exc


def _make(folder: Path, mode: int) -> None:
    """Create a directory with `mode`, whatever the umask says; one that is there stays as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)


def _refuse_foreign(folder: str) -> None:
    fault = foreign_hand(folder)
    if fault is None and Path(folder).stat().st_uid != os.geteuid():
        fault = f"it belongs to uid {Path(folder).stat().st_uid}"
    if fault is not None:
        raise StartupError(
            f"{folder} must belong to uid {os.geteuid()}, in directories that nobody else can change: {fault}; "
            f"repair that or choose another directory"
        )


def _lock(path: Path) -> None:
    """Lock the file; its descriptor stays open, and so does the lock, until the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(descriptor)
        raise LockHeldError(f"{path} is locked by another relay; stop it or use other directories") from exc
