"""The ledger on a real store and a real loop: who commits, and what a store that fails leaves behind."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.host.loop import Loop
from supervisor.relay.checks.report import Report
from supervisor.relay.config.reader import load
from supervisor.relay.ledger.jobs import Outcome, Update
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.ledger.store import FILE_NAME, Changes, Store

KEY = ("agent", "c")
LOOP = threading.main_thread().name
COMMITTER = "committer-1"


class WatchedStore(Store):
    """A store that notes which thread commits and which one makes checkpoints."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(str(state_dir))
        self.commits: list[str] = []
        self.checkpoints: list[str] = []

    def write(self, changes: Changes, *, sync: bool) -> None:
        self.commits.append(threading.current_thread().name)
        super().write(changes, sync=sync)

    def checkpoint(self) -> None:
        self.checkpoints.append(threading.current_thread().name)
        super().checkpoint()


class Desk:
    """A ledger without sockets around it."""

    def __init__(self, root: Path) -> None:
        config = root / "relay.yaml"
        config.write_text(f"version: 1\nrelay: {{run_dir: {root}, state_dir: {root}}}\nspool: {{sync: off}}\n")
        self.store = WatchedStore(root)
        self.loop = Loop()
        self.ledger = Ledger(self.store, self.loop, load(str(config)))
        self.database = root / FILE_NAME

    def submit(self, message: str, done: Callable[[Outcome], None], request_id: str = "") -> None:
        """Submit an update; with a request id it is recognised when it comes again."""
        fingerprint = message.encode() if request_id else None
        report = Report("ok", message, "[]", ())
        self.ledger.submit(Update(key=KEY, report=report, request_id=request_id, fingerprint=fingerprint), done)

    def commit(self, message: str, request_id: str = "") -> Outcome:
        """Submit an update and run the loop until its fate is known."""
        outcomes: list[Outcome] = []
        self.submit(message, outcomes.append, request_id)
        while not outcomes:
            self.loop.turn()
        return outcomes[0]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    while not made.ledger.is_idle():
        made.loop.turn()
    made.store.close()
    made.loop.close()


@contextlib.contextmanager
def stalled(database: Path) -> Iterator[sqlite3.Connection]:
    """Hold the lock that every commit needs: it waits, as for a disk that stalls, and fails after a second."""
    uri = f"{database.as_uri()}?vfs=unix-excl"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield holder


def test_a_store_that_stalls_holds_up_the_loop_only_once(desk: Desk) -> None:
    """After one slow commit the next ones wait on another thread; when one was quick the loop commits again."""
    events: list[object] = []
    with stalled(desk.database) as holder:
        assert desk.commit("1") is Outcome.FAILED

        def go_on() -> None:
            events.append("the loop turned")
            holder.execute("ROLLBACK")

        desk.loop.after(0.05, go_on)
        desk.submit("2", events.append)
        while len(events) < 2:
            desk.loop.turn()
    assert events == ["the loop turned", Outcome.ACCEPTED]
    while desk.store.commits[-1] != LOOP:  # that commit had to wait; a busy machine may slow down others
        assert len(desk.store.commits) < 1000
        assert desk.commit("3") is Outcome.ACCEPTED
    assert desk.store.commits[:2] == [LOOP, COMMITTER]
    assert (desk.ledger.states[KEY].message, desk.ledger.fault) == ("3", None)


def test_a_failed_commit_changes_nothing_and_is_found_out_about(desk: Desk) -> None:
    """The update is refused; the fault is shown until a write succeeds, which a duplicate does not make."""
    assert desk.commit("1", "A") is Outcome.ACCEPTED
    with stalled(desk.database):
        assert desk.commit("2", "B") is Outcome.FAILED
        assert desk.ledger.states[KEY].message == "1"
        assert "locked" in (desk.ledger.fault or "")
        assert desk.commit("1", "A") is Outcome.DUPLICATE
        assert desk.ledger.fault is not None
    desk.ledger.probe()
    while not desk.ledger.is_idle():
        desk.loop.turn()
    assert desk.ledger.fault is None
    assert desk.commit("2", "B") is Outcome.ACCEPTED
    assert desk.commit("3", "B") is Outcome.CONFLICT


def test_the_log_is_folded_into_the_file_between_two_commits(desk: Desk) -> None:
    """Checkpoints are the committer's, however quick the disk is, and keep the log from growing."""
    log = desk.database.with_name(f"{FILE_NAME}-wal")
    sizes = []
    for _ in range(3):
        done = len(desk.store.checkpoints)
        while len(desk.store.checkpoints) == done:
            assert desk.commit("x") is Outcome.ACCEPTED
        sizes.append(log.stat().st_size)
    assert desk.store.checkpoints == [COMMITTER] * 3
    assert LOOP in desk.store.commits
    assert max(sizes) < 1.2 * sizes[0]
