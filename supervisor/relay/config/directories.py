"""The relay's directories, and the locks that keep a second relay out of them.

Source: examples/relay.yaml; docs/relay.md, "Starting and stopping one client".
"""

import fcntl
import os
import stat
from pathlib import Path

from common.errors import SondadError, StartupError


class LockHeldError(SondadError):
    """Another relay uses the same directories."""


def lock_directories(run_dir: str, state_dir: str) -> None:
    """Create both directories and lock them for the life of the process.

    Raises:
        LockHeldError: another relay holds a lock.
        StartupError: a directory cannot be created, or others may write to it.
    """
    try:
        Path(run_dir).mkdir(mode=0o755, parents=True, exist_ok=True)
        found = Path(run_dir).stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise StartupError(
                f"{run_dir} must belong to uid {os.geteuid()} and be writable by nobody else; "
                f"found uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"
            )
        Path(run_dir, "clients").mkdir(mode=0o755, exist_ok=True)
        Path(state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (run_dir, state_dir):
            _lock(Path(folder, "relay.lock"))
    except OSError as exc:
        raise StartupError(f"cannot prepare {exc.filename}: {exc.strerror}; create it or choose another path") from exc


def _lock(path: Path) -> None:
    """Lock the file; its descriptor stays open, and so does the lock, until the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(descriptor)
        raise LockHeldError(f"{path} is locked by another relay; stop it or use other directories") from exc
