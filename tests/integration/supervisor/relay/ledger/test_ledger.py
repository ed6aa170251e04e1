"""The ledger on a real store and a real loop: who commits, and what a store that fails leaves behind."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.host.loop import Loop
from supervisor.relay.checks.report import Report
from supervisor.relay.config.reader import load
from supervisor.relay.ledger.changes import Changes, DeadLetter
from supervisor.relay.ledger.jobs import Acknowledged, Forgotten, Marked, Outcome, Settled, Update
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.ledger.store import FILE_NAME, Store

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

    def __init__(self, root: Path, rest: str = "") -> None:
        config = root / "relay.yaml"
        relay = f"relay: {{run_dir: {root}, state_dir: {root}}}"
        config.write_text(f"version: 1\n{relay}\nspool: {{sync: off}}\n{rest}\n")
        self.store = WatchedStore(root)
        self.loop = Loop()
        self.ledger = Ledger(self.store, self.loop, load(str(config)))
        self.database = root / FILE_NAME

    def close(self) -> None:
        while not self.ledger.is_idle():
            self.loop.turn()
        self.ledger.close()
        self.loop.close()

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
    made.close()


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


def settle(desk: Desk) -> list[Outcome]:
    """Acknowledge everything that waits, and run the loop until that has taken effect."""
    outcomes: list[Outcome] = []
    entries = list(desk.ledger.spool)
    for entry in entries:
        desk.ledger.submit(Settled(entry=entry, acked_ms=1), outcomes.append)
    while len(outcomes) < len(entries):
        desk.loop.turn()
    return outcomes


def test_the_end_of_an_entry_takes_effect_before_it_can_be_written(tmp_path: Path) -> None:
    """What was delivered is remembered while the store fails, and deleted when it can be written again."""
    desk = Desk(tmp_path, "upstream: {url: 'http://127.0.0.1:1'}")
    assert [desk.commit(str(number)) for number in range(3)] == [Outcome.ACCEPTED] * 3
    with stalled(desk.database):
        assert settle(desk) == [Outcome.ACCEPTED] * 3
        assert len(desk.ledger.spool) == 0
        assert desk.ledger.fault is not None
        assert len(list(desk.store.spooled())) == 3
    desk.ledger.probe()
    while not desk.ledger.is_idle() or list(desk.store.spooled()):
        desk.loop.turn()
    assert desk.ledger.fault is None
    assert desk.ledger.acked[KEY] == 1
    desk.close()


def test_a_mark_is_made_when_the_store_can_be_written_again(desk: Desk) -> None:
    """`on_stale` is not lost when its commit fails; a mark that an update has overtaken is dropped."""
    assert desk.commit("1", "A") is Outcome.ACCEPTED
    report = Report("error", "no update", "[]", ())
    mark = Marked(key=KEY, seen_id="A", stale=True, update=Update(key=KEY, report=report, request_id="B", stale=True))
    marked: list[Outcome] = []
    with stalled(desk.database):
        desk.ledger.submit(mark, marked.append)
        while desk.ledger.fault is None:
            desk.loop.turn()
        assert not desk.ledger.states[KEY].stale
    while not marked:
        desk.loop.turn()
    state = desk.ledger.states[KEY]
    assert (state.status, state.message, state.stale) == ("error", "no update", True)
    assert desk.commit("2", "C") is Outcome.ACCEPTED
    desk.ledger.submit(mark, marked.append)
    while len(marked) < 2:
        desk.loop.turn()
    assert (desk.ledger.states[KEY].message, desk.ledger.states[KEY].stale) == ("2", False)


def test_forgotten_checks_remember_no_request_ids(desk: Desk) -> None:
    """A client that was removed and comes back may use the id of an old update for a new one."""
    assert desk.commit("1", "A") is Outcome.ACCEPTED
    done: list[Outcome] = []
    desk.ledger.submit(Forgotten((KEY,)), done.append)
    desk.submit("1", done.append, "A")
    while len(done) < 2:
        desk.loop.turn()
    assert done == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert desk.ledger.states[KEY].message == "1"
    assert desk.commit("1", "A") is Outcome.DUPLICATE


def test_only_jobs_change_the_state(desk: Desk) -> None:
    """What readers get cannot be written to."""
    with pytest.raises(TypeError):
        desk.ledger.states[KEY] = None  # type: ignore[index]
    with pytest.raises(TypeError):
        desk.ledger.acked[KEY] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        desk.ledger.dropped["expired"] = 1  # type: ignore[index]


@pytest.mark.parametrize("how", ["moved", "cut", "replaced", "overwritten"])
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_store_that_somebody_else_changes_takes_nothing(desk: Desk, how: str, suffix: str) -> None:
    """A commit to files that no restart will find, or that are broken, is refused at once and loudly."""
    assert desk.commit("1") is Outcome.ACCEPTED
    file = Path(f"{desk.database}{suffix}")
    content = file.read_bytes()
    match how:
        case "moved":
            file.rename(f"{file}.old")
        case "cut":
            os.truncate(file, len(content) // 2)
        case "replaced":
            file.unlink()
            file.write_bytes(content)
        case "overwritten":
            with file.open("r+b") as opened:
                opened.seek(len(content) // 4)
                opened.write(os.urandom(len(content) // 2))
    assert desk.commit("2") is Outcome.FAILED
    assert str(file) in (desk.ledger.fault or "")
    desk.ledger.probe()
    while not desk.ledger.is_idle():
        desk.loop.turn()
    if desk.ledger.fault is None:  # the bytes were in a part that SQLite had no use for any more
        assert how == "overwritten"
        assert desk.commit("3") is Outcome.ACCEPTED
    else:
        assert "updates may be missing" in (desk.ledger.doubt or "")
        assert desk.commit("3") is Outcome.FAILED


def test_a_doubt_survives_a_restart_until_it_is_acknowledged(tmp_path: Path) -> None:
    """After a file was cut short nobody can say whether all updates are there; that stays visible."""
    desk = Desk(tmp_path)
    assert desk.commit("1") is Outcome.ACCEPTED
    os.truncate(f"{desk.database}-wal", 100)
    assert desk.commit("2") is Outcome.FAILED
    desk.ledger.probe()
    while not desk.ledger.is_idle():
        desk.loop.turn()
    desk.close()
    desk = Desk(tmp_path)
    assert "updates may be missing" in (desk.ledger.doubt or "")
    assert desk.commit("3") is Outcome.ACCEPTED
    desk.ledger.forget_doubt()
    assert desk.ledger.doubt is None
    desk.close()
    desk = Desk(tmp_path)
    assert desk.ledger.doubt is None
    desk.close()


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_was_open_for_writing_is_looked_at_and_used_again(desk: Desk, suffix: str) -> None:
    """Nobody can say what was written: one commit is refused; the content is checked, found well, and all goes on."""
    assert desk.commit("1") is Outcome.ACCEPTED
    with Path(f"{desk.database}{suffix}").open("r+b"):
        pass
    assert desk.commit("2") is Outcome.FAILED
    desk.ledger.probe()
    while not desk.ledger.is_idle():
        desk.loop.turn()
    assert desk.ledger.fault is None
    assert desk.ledger.doubt is None
    assert desk.commit("3") is Outcome.ACCEPTED


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_what_changes_no_byte_refuses_nothing(desk: Desk, suffix: str) -> None:
    """A backup that reads, a time stamp, a mode, a second name and a move there and back."""
    file = Path(f"{desk.database}{suffix}")
    assert desk.commit("1") is Outcome.ACCEPTED
    with file.open("rb") as backup:
        assert desk.commit("2") is Outcome.ACCEPTED
        backup.read()
        assert desk.commit("3") is Outcome.ACCEPTED
    os.utime(file, ns=(1, 1))
    assert desk.commit("4") is Outcome.ACCEPTED
    file.chmod(0o600)
    os.link(file, f"{file}.copy")
    assert desk.commit("5") is Outcome.ACCEPTED
    file.rename(f"{file}.old")
    Path(f"{file}.old").rename(file)
    assert desk.commit("6") is Outcome.ACCEPTED
    assert (desk.ledger.fault, desk.ledger.doubt) == (None, None)


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_what_somebody_writes_who_has_a_file_open_is_seen_before_it_is_closed(desk: Desk, suffix: str) -> None:
    """From the moment on at which another has a file open, it is compared at every commit."""
    assert desk.commit("1") is Outcome.ACCEPTED
    file = Path(f"{desk.database}{suffix}")
    with file.open("r+b", buffering=0) as opened:
        assert desk.commit("2") is Outcome.ACCEPTED
        opened.seek(file.stat().st_size // 2)
        opened.write(os.urandom(64))
        assert desk.commit("3") is Outcome.FAILED
        assert f"{file} was written to by another process" in (desk.ledger.fault or "")


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_loss_is_noticed_without_a_commit(desk: Desk, suffix: str) -> None:
    """A relay that has nothing to do says that its store is gone, and that it is back."""
    assert desk.commit("1") is Outcome.ACCEPTED
    file = Path(f"{desk.database}{suffix}")
    file.rename(f"{file}.old")
    desk.loop.turn()
    assert f"{file} was moved away by another process" in (desk.ledger.fault or "")
    Path(f"{file}.old").rename(file)
    while desk.ledger.fault is not None or not desk.ledger.is_idle():
        desk.ledger.probe()
        desk.loop.turn()
    assert desk.ledger.doubt is None
    assert desk.commit("2") is Outcome.ACCEPTED


def test_a_directory_that_is_moved_away_and_a_file_that_is_cut_are_noticed_while_idle(tmp_path: Path) -> None:
    """What the kernel does not tell is looked at several times a second."""
    (tmp_path / "state").mkdir()
    desk = Desk(tmp_path / "state")
    assert desk.commit("1") is Outcome.ACCEPTED
    (tmp_path / "state").rename(tmp_path / "moved")
    desk.ledger.probe()
    assert f"{tmp_path}/state was moved away" in (desk.ledger.fault or "")
    (tmp_path / "moved").rename(tmp_path / "state")
    while desk.ledger.fault is not None or not desk.ledger.is_idle():
        desk.ledger.probe()
        desk.loop.turn()
    os.truncate(desk.database, 100)
    desk.ledger.probe()
    assert f"{desk.database} was cut short" in (desk.ledger.fault or "")
    desk.close()


def test_dead_letters_are_counted_until_somebody_has_read_them(tmp_path: Path) -> None:
    """The count survives a restart, and so does the acknowledgement."""
    desk = Desk(tmp_path, "upstream: {url: 'http://127.0.0.1:1'}")
    assert desk.commit("1") is Outcome.ACCEPTED
    (entry,) = desk.ledger.spool
    letter = DeadLetter(
        client="agent", check="c", request_id="A", accepted_ms=1, refused_ms=2, answer_status=404, answer="", body="{}"
    )
    done: list[Outcome] = []
    desk.ledger.submit(Settled(entry=entry, dead=letter), done.append)
    while not done:
        desk.loop.turn()
    assert (desk.ledger.dead_count, desk.ledger.unread_dead) == (1, 1)
    desk.close()
    desk = Desk(tmp_path)
    assert (desk.ledger.dead_count, desk.ledger.unread_dead) == (1, 1)
    desk.ledger.submit(Acknowledged(), done.append)
    while len(done) < 2:
        desk.loop.turn()
    assert (desk.ledger.dead_count, desk.ledger.unread_dead) == (1, 0)
    desk.close()
    desk = Desk(tmp_path)
    assert (desk.ledger.dead_count, desk.ledger.unread_dead) == (1, 0)
    desk.close()
