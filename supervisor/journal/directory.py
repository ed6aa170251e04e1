"""The state directory: one daemon has it at a time, and the workers of that daemon while they still write to it."""

import errno
import fcntl
import logging
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from common.checkpoints import OtherLayoutError, read_kept
from common.errors import DirectoryTakenError, StartupError, os_error_text
from common.logs import fields
from supervisor.journal.journal import DamagedJournalError, Journal, JournalError
from supervisor.journal.runs import KeptRun

logger = logging.getLogger(__name__)

_CHECKPOINTS: Final = "checkpoints"
_JOURNAL: Final = "journal.sqlite"
_HOLDER: Final = "daemon.pid"
_WAIT_SECS: Final = 8.0
"""Workers whose daemon has gone are given a second to deliver what they have, and then some more."""
_POLL_SECS: Final = 0.02


class StateDirectory:
    """The state directory of this daemon.

    Args:
        path: made when there is none, for the daemon's user alone.
        forgets: whether what earlier daemons have kept is forgotten.

    Attributes:
        journal: the runs.
        runs: what there was of them, in the order of their launch, each with the checkpoint that was kept of it.
        checkpoints: a descriptor of the file of checkpoints, for `common.checkpoints`; free to be emptied.

    Raises:
        DirectoryTakenError: another daemon has it.
        StartupError: it cannot be used; the text names it and the reason.
    """

    def __init__(self, path: Path, *, forgets: bool = False) -> None:
        self._path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.checkpoints = self._opened(_CHECKPOINTS, os.O_RDWR | os.O_CREAT)
            self._take()
            with os.fdopen(self._opened(_HOLDER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as holder:
                holder.write(f"{os.getpid()}\n")
            if forgets:
                self._forget()
            # It holds secrets of scenarios; SQLite gives its other files the same mode.
            os.close(self._opened(_JOURNAL, os.O_RDWR | os.O_CREAT))
            self.journal, runs = self._open()
            self.runs = self._settled(runs)
        except FileExistsError as exc:
            raise StartupError(f"--state-dir {path}: this is not a directory") from exc
        except OSError as exc:
            raise StartupError(
                f"--state-dir {path}: {os_error_text(exc)}; the daemon's user must be able to write there"
            ) from exc
        except JournalError as exc:
            raise StartupError(f"--state-dir {path}: {exc}") from exc

    def _opened(self, name: str, flags: int) -> int:
        """Open a file of the directory: through no link, which may lead anywhere, and without waiting for a reader.

        Raises:
            OSError: it cannot be opened.
            StartupError: it is no regular file.
        """
        refusal = StartupError(f"--state-dir {self._path}: {name} is not a regular file; move it away")
        try:
            descriptor = os.open(self._path / name, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as exc:
            if exc.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise refusal from exc
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise refusal
        return descriptor

    def _take(self) -> None:
        """Take the lock, which workers inherit: until the last of an earlier daemon has gone it is theirs."""
        deadline = time.monotonic() + _WAIT_SECS
        while True:
            try:
                fcntl.flock(self.checkpoints, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._holder()
                if holder is not None or time.monotonic() >= deadline:
                    who = "workers of an earlier daemon" if holder is None else f"the daemon with process id {holder}"
                    raise DirectoryTakenError(
                        f"--state-dir {self._path}: in use by {who}; give each daemon a directory of its own"
                    ) from None
                time.sleep(_POLL_SECS)
            else:
                return

    def _holder(self) -> int | None:
        """Return the process id of the daemon that has the directory, if it lives."""
        try:
            with os.fdopen(self._opened(_HOLDER, os.O_RDONLY)) as holder:
                pid = int(holder.read())
            os.kill(pid, 0)
        except (OSError, ValueError, OverflowError):
            return None
        return pid

    def _forget(self) -> None:
        for name in (_JOURNAL, f"{_JOURNAL}-wal", f"{_JOURNAL}-shm"):
            with suppress(FileNotFoundError):
                (self._path / name).unlink()
        os.ftruncate(self.checkpoints, 0)

    def _open(self) -> tuple[Journal, list[KeptRun]]:
        path = self._path / _JOURNAL
        try:
            journal = self._journal(path)
            return journal, journal.load()
        except DamagedJournalError as exc:
            aside = path.with_name(f"{_JOURNAL}.unusable-{time.time_ns() // 1_000_000_000}")
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    path.with_name(f"{_JOURNAL}{suffix}").rename(aside.with_name(f"{aside.name}{suffix}"))
            logger.warning(
                "journal: cannot be used, no earlier run is continued; it was moved away",
                extra=fields(path=path, reason=exc, moved_to=aside),
            )
            return self._journal(path), []

    def _journal(self, path: Path) -> Journal:
        return Journal(path, lambda: os.fdatasync(self.checkpoints))

    def _settled(self, runs: list[KeptRun]) -> list[KeptRun]:
        """Return the runs with their checkpoints, which stand in the journal from here on: the file is for new ones."""
        try:
            kept = read_kept(self._path / _CHECKPOINTS, [run.row for run in runs if run.row is not None])
        except OtherLayoutError as exc:
            kept = {}
            if runs:
                logger.warning("journal: checkpoints of another version are not read", extra=fields(reason=exc))
        settled = [run if run.row is None else run.recovered(kept.get(run.row, run.checkpoint)) for run in runs]
        try:
            self.journal.put(settled)
        except JournalError as exc:
            logger.warning("journal: new scenarios will be refused until it can be written", extra=fields(reason=exc))
        return settled
