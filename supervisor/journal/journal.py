"""The file of runs. One thread writes; what comes meanwhile is one transaction, and one wait for the disk.

::

    put, remove ──► queue ──► writer: BEGIN … COMMIT, on the disk ──► whoever waits goes on
    end, note   ──►   (whoever says how a run fares does not wait)
"""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import msgspec

from common.checkpoints import Checkpoint
from common.errors import SondadError
from common.logs import fields
from common.plan import PlannedEntry
from supervisor.journal.runs import EndedRun, Hole, KeptRun, Tuned

logger = logging.getLogger(__name__)

VERSION: Final = 2
WAIT_SECS: Final = 10.0
"""How long a launch or a stop waits for the disk before it is refused."""

_SCHEMA: Final = """
CREATE TABLE runs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body_id TEXT NOT NULL,
    scenario_name TEXT,
    origin TEXT NOT NULL,
    entry BLOB NOT NULL,
    start_wall_ns INTEGER NOT NULL,
    row INTEGER,
    checkpoint BLOB,
    holes BLOB NOT NULL,
    ended BLOB,
    tuned BLOB
);
"""
_UPGRADES: Final = {1: "ALTER TABLE runs ADD COLUMN tuned BLOB;"}
"""From an earlier version to the next."""
_COLUMNS: Final = "id, body_id, scenario_name, origin, entry, start_wall_ns, row, checkpoint, holes, ended, tuned"
_PUT: Final = f"INSERT OR REPLACE INTO runs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
_SYNC_SECS: Final = 1.0

_Change = tuple[str, tuple[Any, ...]]


class JournalError(SondadError):
    """The journal cannot be written; the text names the file and the reason."""


class DamagedJournalError(SondadError):
    """The file is no journal, or one of another version; the text says which."""


class Journal:
    """All runs that were accepted and not deleted.

    Args:
        path: of the file; made when there is none.
        sync: called every second, in the journal's thread: has checkpoints written to the disk.

    Raises:
        DamagedJournalError: there is a file that cannot be used.
        JournalError: it cannot be opened or made.
    """

    def __init__(self, path: Path, sync: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._sync = sync
        self._queue: queue.SimpleQueue[tuple[Sequence[_Change], Future[None] | None] | None] = queue.SimpleQueue()
        self._connection = self._open()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def load(self) -> list[KeptRun]:
        """Return the runs in the order of their launch, before anything is written; one of another version is lost.

        Raises:
            DamagedJournalError: they cannot be read.
        """
        try:
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY place").fetchall()  # noqa: S608
        except sqlite3.DatabaseError as exc:
            self.close()
            raise DamagedJournalError(str(exc)) from exc
        runs = []
        for row in rows:
            try:
                runs.append(_decoded(row))
            except (msgspec.DecodeError, TypeError) as exc:
                logger.warning(
                    "journal: a run of another version is not continued", extra=fields(id=row[0], reason=exc)
                )
        return runs

    def put(self, runs: Iterable[KeptRun]) -> None:
        """Keep runs, new ones or ones that have changed; returns when they are on the disk.

        Raises:
            JournalError: they are not.
        """
        encode = msgspec.msgpack.encode
        self._change(
            [
                (
                    _PUT,
                    (
                        run.id,
                        run.body_id,
                        run.scenario_name,
                        run.origin,
                        encode(run.entry),
                        run.start_wall_ns,
                        run.row,
                        None if run.checkpoint is None else encode(run.checkpoint),
                        encode(run.holes),
                        None if run.ended is None else encode(run.ended),
                        None if run.tuned is None else encode(run.tuned),
                    ),
                )
                for run in runs
            ]
        )

    def remove(self, ids: Iterable[str]) -> None:
        """Forget runs; returns when that is on the disk.

        Raises:
            JournalError: it is not.
        """
        self._change([("DELETE FROM runs WHERE id = ?", (id_,)) for id_ in ids])

    def retune(self, run_id: str, tuned: Tuned) -> None:
        """Keep what a run that stands still is changed to, and all checkpoints; returns when both are on the disk.

        Raises:
            JournalError: they are not.
        """
        try:
            self._sync()
        except OSError as exc:
            raise JournalError(f"checkpoints cannot be written to the disk: {exc}") from exc
        self._change([("UPDATE runs SET tuned = ? WHERE id = ?", (msgspec.msgpack.encode(tuned), run_id))])

    def end(self, run_id: str, ended: EndedRun) -> None:
        """Keep how a run has ended; waits for nothing."""
        self._queue.put(([("UPDATE runs SET ended = ? WHERE id = ?", (msgspec.msgpack.encode(ended), run_id))], None))

    def note_holes(self, run_id: str, holes: tuple[Hole, ...]) -> None:
        """Keep what a run has missed; waits for nothing."""
        self._queue.put(([("UPDATE runs SET holes = ? WHERE id = ?", (msgspec.msgpack.encode(holes), run_id))], None))

    def close(self) -> None:
        """Write what is left, and close."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _change(self, changes: Sequence[_Change]) -> None:
        done: Future[None] = Future()
        self._queue.put((changes, done))
        try:
            done.result(WAIT_SECS)
        except TimeoutError:
            raise JournalError(f"cannot write {self._path}: the disk has not answered for {WAIT_SECS:g} s") from None

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.OperationalError as exc:
            raise JournalError(f"cannot open {self._path}: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise DamagedJournalError(str(exc)) from exc
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= VERSION:
            raise DamagedJournalError(f"its version is {version}, this daemon writes {VERSION}")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise DamagedJournalError(verdict)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        for earlier in range(version, VERSION) if version else ():
            connection.executescript(
                f"BEGIN IMMEDIATE; {_UPGRADES[earlier]} PRAGMA user_version = {earlier + 1}; COMMIT;"
            )
        try:
            connection.execute(f"SELECT {_COLUMNS} FROM runs LIMIT 0")  # noqa: S608 - a constant
        except sqlite3.OperationalError as exc:
            raise DamagedJournalError(str(exc)) from exc

    def _write(self) -> None:
        synced = time.monotonic()
        is_open = True
        while is_open:
            waiting: list[tuple[Sequence[_Change], Future[None] | None]] = []
            try:
                item = self._queue.get(timeout=_SYNC_SECS)
                while item is not None:
                    waiting.append(item)
                    item = self._queue.get_nowait()
                is_open = False
            except queue.Empty:
                pass
            if waiting:
                self._commit(waiting)
            if time.monotonic() - synced >= _SYNC_SECS or not is_open:
                synced = time.monotonic()
                try:
                    self._sync()
                except OSError as exc:
                    logger.warning("journal: checkpoints cannot be written to the disk", extra=fields(reason=exc))

    def _commit(self, waiting: Sequence[tuple[Sequence[_Change], "Future[None] | None"]]) -> None:
        error: JournalError | None = None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for changes, _ in waiting:
                    for statement, values in changes:
                        self._connection.execute(statement, values)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            error = JournalError(f"cannot write {self._path}: {exc}: make room or repair the disk")
            if any(done is None for _, done in waiting):
                logger.warning("journal: what has become of runs is not kept", extra=fields(reason=error))
        for _, done in waiting:
            if done is not None:
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)


def _decoded(row: tuple[Any, ...]) -> KeptRun:
    id_, body_id, scenario_name, origin, entry, start_wall_ns, board_row, checkpoint, holes, ended, tuned = row
    decode = msgspec.msgpack.decode
    launched = decode(entry, type=PlannedEntry)
    changed = None if tuned is None else decode(tuned, type=Tuned)
    return KeptRun(
        id=id_,
        body_id=body_id,
        scenario_name=scenario_name,
        origin=origin,
        entry=launched if changed is None else changed.of(launched),
        start_wall_ns=start_wall_ns,
        row=board_row,
        checkpoint=None if checkpoint is None else decode(checkpoint, type=Checkpoint),
        holes=decode(holes, type=tuple[Hole, ...]),
        ended=None if ended is None else decode(ended, type=EndedRun),
        tuned=changed,
    )
