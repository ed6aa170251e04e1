"""The relay's durable state: one SQLite file in WAL mode, one transaction per group of changes.

`write` and `checkpoint` are never called by two threads at once; the reading methods use a second connection and run
on the main thread, even while another thread writes.

Source: docs/relay.md, "Reading the state", "Forwarding" and "What a 202 means".
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from common.errors import SondadError, StartupError
from supervisor.relay.checks.state import CheckState, Key, Transition
from supervisor.relay.ledger.changes import Changes, DeadLetter, Payload
from supervisor.relay.ledger.files import StoreError, StoreFiles
from supervisor.relay.ledger.reserve import Reserve
from supervisor.relay.ledger.rows import ACKNOWLEDGED, SCHEMA, RowWriter

logger = logging.getLogger(__name__)

FILE_NAME: Final = "relay.db"
_VERSION: Final = 1
_CHECKPOINT_COMMITS: Final = 500
# PERF: a commit writes whole pages, and most records have a few hundred bytes.
_PAGE_BYTES: Final = 1024
# Commits so large that the log exceeds this part of the reserve before a checkpoint is due make one themselves.
_LOG_SHARE: Final = 0.75


class Store:
    """The open store.

    Attributes:
        doubt: why updates that were accepted may be missing, until `acknowledge`; None when there is no doubt.
        dead_count: how many dead letters are kept.
        unread_dead: how many of them came after the latest acknowledgement.
    """

    def __init__(self, state_dir: str) -> None:
        """Open, or create, the store in `state_dir`.

        Raises:
            StartupError: the file cannot be opened, or belongs to another version.
        """
        self._path = Path(state_dir, FILE_NAME)
        self._doubt_path = Path(f"{self._path}.doubt")
        self.doubt: str | None = None
        self._is_doubt_new = False
        self.states: dict[Key, CheckState] = {}
        self.acked: dict[Key, int] = {}
        self._sync = True
        self._commits = 0
        try:
            self._reserve = Reserve(Path(state_dir))
            if self._doubt_path.exists():
                self.doubt = self._doubt_path.read_text(encoding="utf-8", errors="replace")
            try:
                self._open()
            except (_DamagedError, msgspec.MsgspecError) as exc:
                self._move_aside(str(exc))
                self._open()
            self._reserve.hold()
            self._files = StoreFiles(self._path)
        except (sqlite3.Error, OSError) as exc:
            raise StartupError(
                f"cannot open the store {self._path}: {exc}; check its directory and free space"
            ) from exc

    def write(self, changes: Changes, *, sync: bool) -> None:
        """Make `changes` durable in one transaction; without `sync` it is not waited for the disk.

        Raises:
            StoreError: nothing was changed.
        """
        writer = self._writer
        self._commits += 1
        self._files.check()
        try:
            if sync != self._sync:
                # NORMAL still syncs at checkpoints: a power cut may lose commits but never damages the file.
                writer.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._sync = sync
            writer.execute("BEGIN IMMEDIATE")
            self._rows.write(changes)
            writer.execute("COMMIT")
        except sqlite3.Error as exc:
            try:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
            except sqlite3.Error as again:
                logger.warning("rollback in %s failed: %s", self._path, again)
            raise StoreError(f"cannot write {self._path}: {exc}", is_full=_is_full(exc)) from exc
        finally:
            self._files.remember_commit()

    @property
    def descriptor(self) -> int | None:
        """Readable when somebody else does something with the files: then it is time to `hear`; None if unknown."""
        return self._files.descriptor

    def hear(self) -> None:
        """Take from the kernel what has happened to the files; safe beside every other method."""
        self._files.hear()

    def check(self) -> None:
        """Find out whether somebody else has changed the files; not while another thread writes.

        Raises:
            StoreError: which one, and in which way.
        """
        self._files.check(everything=True)

    def is_checkpoint_due(self) -> bool:
        """Return whether the log has grown enough to be folded into the file."""
        return self._commits >= _CHECKPOINT_COMMITS

    def checkpoint(self) -> None:
        """Fold the log into the file, so that the next commit starts it again.

        Raises:
            StoreError: it was not possible; nothing is lost.
        """
        self._commits = 0
        self._files.check(everything=True)
        self._fold("PASSIVE")

    def give_up_reserve(self) -> None:
        """Let the ends of entries have the room that was kept for them."""
        self._reserve.give_up()

    def make_room(self, *, hold: bool) -> bool:
        """Give back to the disk what the store needs no more.

        Args:
            hold: whether the reserve is to be taken again, if there is room for it.

        Returns:
            Whether the reserve is held, so that new updates may come in.

        Raises:
            StoreError: the files were changed by somebody else.
        """
        self._files.check(everything=True)
        try:
            self._fold("TRUNCATE")
            self._writer.execute("PRAGMA incremental_vacuum").fetchall()
            self._files.remember()
            self._fold("TRUNCATE")
        except (StoreError, sqlite3.Error) as exc:
            logger.info("making room in %s: %s", self._path, exc)
        finally:
            self._files.remember()
        return hold and self._reserve.hold()

    def heal(self) -> None:
        """Go on after somebody else touched the files, if nothing was lost by it.

        Raises:
            StoreError: a file is gone or cut short, or its content is broken. From now on it is in doubt whether all
                accepted updates are there, also after a restart.
        """
        try:
            if self._files.is_replaced():
                self._files.check(everything=True)
            verdict = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            self._fold("TRUNCATE")
            self._files.accept()
            if self._is_doubt_new:  # the very files are back, and whole
                self.acknowledge()
        except sqlite3.Error as exc:
            self._note_doubt(f"{self._path} is damaged ({exc})")
            raise StoreError(f"{self._path} is damaged ({exc}); restart the relay", is_changed=True) from exc
        except StoreError as exc:
            self._note_doubt(str(exc))
            raise StoreError(f"{exc}; put the file back, or restart the relay", is_changed=True) from exc

    def acknowledge(self) -> None:
        """Forget the doubt: somebody has taken note of it."""
        self.doubt = None
        self._is_doubt_new = False
        with contextlib.suppress(OSError):
            self._doubt_path.unlink(missing_ok=True)

    def spooled(self) -> Iterator[tuple[int, Key, str, int, int]]:
        """Yield (seq, key, status, size_bytes, at_ms) of every entry, oldest first."""
        rows = self._reader.execute("SELECT seq, client, chk, status, octets, at_ms FROM spool ORDER BY seq")
        for seq, client, check, status, size_bytes, at_ms in rows:
            yield seq, (client, check), status, size_bytes, at_ms

    def payload(self, seq: int) -> Payload | None:
        """Return the payload of an entry, None when it is missing or damaged.

        Raises:
            StoreError: it cannot be read.
        """
        row = self._read_one("SELECT record FROM spool WHERE seq = ?", seq)
        try:
            return msgspec.msgpack.decode(row[0], type=Payload) if row else None
        except msgspec.MsgspecError as exc:
            logger.error("the record of entry %d in %s is damaged: %s", seq, self._path, exc)  # noqa: TRY400
            return None

    def seen(self, key: Key, request_id: str) -> tuple[bytes, int] | None:
        """Return the fingerprint and the time of an accepted request id.

        Raises:
            StoreError: it cannot be read.
        """
        query = "SELECT fingerprint, at_ms FROM seen WHERE client = ? AND chk = ? AND request_id = ?"
        row = self._read_one(query, *key, request_id)
        return (row[0], row[1]) if row else None

    def history(self, key: Key) -> list[Transition]:
        """Return the kept transitions of `key`, oldest first.

        Raises:
            StoreError: they cannot be read.
        """
        rows = self._read("SELECT record FROM transitions WHERE client = ? AND chk = ? ORDER BY seq", *key)
        return [msgspec.msgpack.decode(row[0], type=Transition) for row in rows]

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first.

        Raises:
            StoreError: they cannot be read.
        """
        return [
            msgspec.msgpack.decode(row[0], type=DeadLetter) for row in self._read("SELECT record FROM dead ORDER BY id")
        ]

    def close(self) -> None:
        """Close both connections; the WAL is folded into the file."""
        self._reader.close()
        self._writer.close()
        self._files.close()

    def _fold(self, how: str) -> None:
        try:
            self._writer.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
        except sqlite3.Error as exc:
            raise StoreError(f"cannot checkpoint {self._path}: {exc}") from exc
        finally:
            self._files.remember()

    def _note_doubt(self, reason: str) -> None:
        if self.doubt is None:
            self.doubt = f"{reason}; updates may be missing"
            self._is_doubt_new = True
            try:
                self._doubt_path.write_text(self.doubt, encoding="utf-8")
            except OSError as exc:
                logger.warning("cannot write %s: %s", self._doubt_path, exc.strerror)

    def _open(self) -> None:
        self._writer = self._connect()
        try:
            self._prepare(self._writer)
            self._reader = self._connect()
            self._load()
        except sqlite3.OperationalError:
            self._writer.close()
            raise
        except sqlite3.DatabaseError as exc:
            self._writer.close()
            raise _DamagedError(str(exc)) from exc

    def _connect(self) -> sqlite3.Connection:
        # This VFS keeps every other process out of the file, so that none can block a commit and none has to be asked.
        uri = f"{self._path.as_uri()}?vfs=unix-excl"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=1.0)

    def _prepare(self, writer: sqlite3.Connection) -> None:
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise StartupError(f"{self._path} has store version {version}, expected {_VERSION}; move it away")
        verdict = writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _DamagedError(verdict)
        writer.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        if version == 0:
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA synchronous = FULL")
        max_log_pages = max(int(self._reserve.size_bytes * _LOG_SHARE) // _PAGE_BYTES, 1)
        writer.execute(f"PRAGMA wal_autocheckpoint = {max_log_pages}")
        if version == 0:
            writer.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        self._rows = RowWriter(writer)
        self.dead_count: int = writer.execute("SELECT count(*) FROM dead").fetchone()[0]
        unread = "SELECT count(*) FROM dead WHERE id > coalesce((SELECT at_ms FROM probe WHERE id = ?), 0)"
        self.unread_dead: int = writer.execute(unread, (ACKNOWLEDGED,)).fetchone()[0]

    def _load(self) -> None:
        decode = msgspec.msgpack.Decoder(CheckState).decode
        for client, check, record, acked_ms in self._reader.execute("SELECT client, chk, record, acked_ms FROM latest"):
            self.states[client, check] = decode(record)
            if acked_ms is not None:
                self.acked[client, check] = acked_ms

    def _move_aside(self, reason: str) -> None:
        aside = f"{self._path}.corrupt-{int(time.time())}"
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{self._path}{suffix}")
            if file.exists():
                file.rename(f"{aside}{suffix}")
        self.doubt = f"a damaged file was moved to {aside}"
        self.states.clear()
        self.acked.clear()
        logger.error(
            "the store %s is damaged (%s); it was moved to %s and a new one is used", self._path, reason, aside
        )

    def _read_one(self, query: str, *arguments: str | int) -> tuple[bytes, int] | None:
        rows = self._read(query, *arguments)
        return rows[0] if rows else None

    def _read(self, query: str, *arguments: str | int) -> list[tuple[bytes, int]]:
        try:
            return self._reader.execute(query, arguments).fetchall()
        except sqlite3.Error as exc:
            raise StoreError(f"cannot read {self._path}: {exc}") from exc


def _is_full(exc: sqlite3.Error) -> bool:
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


class _DamagedError(SondadError):
    """A file that is not a database, or one whose structure or records are broken."""
