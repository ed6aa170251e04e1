"""The journal on a real disk: what is kept, and what becomes of one that cannot be used."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.checkpoints import LAYOUT, Checkpoint, Checkpoints, CheckpointWriter
from common.counters import Counters
from common.errors import DirectoryTakenError, StartupError
from common.plan import ValueOrigin
from common.tuning import Tuning
from supervisor.journal.directory import StateDirectory
from supervisor.journal.journal import VERSION, Journal
from supervisor.journal.runs import DOWN, EndedRun, Hole, KeptRun, Retuned, Tuned, with_hole, with_newest
from tests.unit.supervisor.engine.entries import planned_entry


def run(name: str, **fields: object) -> KeptRun:
    kept = KeptRun(
        id=f"id-{name}",
        body_id="id-a",
        scenario_name="body",
        origin="POST /scenarios",
        entry=planned_entry(name),
        start_wall_ns=1_700_000_000 * 10**9,
    )
    return msgspec.structs.replace(kept, **fields)


def test_runs_are_read_back_in_the_order_of_their_launch(tmp_path: Path) -> None:
    """With everything that was said of them meanwhile; a removed one is gone."""
    journal = Journal(tmp_path / "journal")
    journal.put([run("b", row=3), run("a", checkpoint=Checkpoint(counters=Counters(total_events=7)))])
    journal.put([run("c")])
    journal.remove(["id-c", "never there"])
    hole = Hole(1, 5, 4, "the daemon was down")
    journal.note_holes("id-b", (hole,))
    journal.end("id-a", EndedRun(Counters(total_events=9), "killed"))
    journal.close()
    again = Journal(tmp_path / "journal")
    first, second = again.load()
    again.close()
    assert first == run("b", row=3, holes=(hole,))
    assert second.checkpoint == Checkpoint(counters=Counters(total_events=7))
    assert second.ended == EndedRun(Counters(total_events=9), "killed")


def test_a_directory_gives_every_run_its_checkpoint(tmp_path: Path) -> None:
    """From the file that workers wrote, by the row; the file is then free for other rows, and the journal has them."""
    directory = StateDirectory(tmp_path / "state")
    checkpoints = Checkpoints(8, directory.checkpoints)
    counters = Counters(total_events=41, next_tick=42, hole_from_ns=7, hole_until_ns=9, hole_ticks=2)
    CheckpointWriter(checkpoints.descriptor, 5).save(counters)
    directory.journal.put([run("a", row=5), run("b", row=6)])
    directory.journal.close()
    del checkpoints
    for _ in range(2):
        later = StateDirectory(tmp_path / "state")
        first, second = later.runs
        assert first.checkpoint is not None
        assert (first.row, first.checkpoint.counters.next_tick) == (None, 42)
        # The daemon was killed before it had kept what its worker had missed.
        assert first.holes == (Hole(7, 9, 2, DOWN),)
        assert (second.row, second.checkpoint) == (None, None)
        later.journal.close()
        os.ftruncate(later.checkpoints, 0)
        os.close(later.checkpoints)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "state").glob("[cj]*"))


def test_a_hole_whose_end_was_not_kept_is_part_of_the_next() -> None:
    """The run goes on from before it and misses its ticks once more: each is named once."""
    before, known = Hole(10, 20, 1, DOWN), Hole(50, 70, 2, DOWN)
    kept = Checkpoint(counters=Counters(next_tick=4, hole_from_ns=10, hole_until_ns=20, hole_ticks=1))
    recovered = run("a", holes=(before, known)).recovered(kept)
    assert recovered.holes == (before, known)
    assert with_hole(recovered.holes, Hole(50, 110, 6, DOWN)) == (before, Hole(50, 110, 6, DOWN))


def test_the_position_before_several_holes_leads_to_one() -> None:
    """What was kept last was lost with the machine's power: what follows covers all that came since."""
    holes = (Hole(10, 20, 1, DOWN), Hole(50, 70, 2, DOWN), Hole(90, 110, 2, DOWN))
    assert with_hole(holes, Hole(40, 150, 11, DOWN)) == (Hole(10, 20, 1, DOWN), Hole(40, 150, 11, DOWN))


def test_checkpoints_of_another_version_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run goes on from what the journal has of it, and the log says so."""
    directory = StateDirectory(tmp_path / "state")
    checkpoints = Checkpoints(8, directory.checkpoints)
    CheckpointWriter(checkpoints.descriptor, 5).save(Counters(total_events=41, next_tick=42))
    directory.journal.put([run("a", row=5)])
    directory.journal.close()
    os.pwrite(directory.checkpoints, (LAYOUT + 1).to_bytes(8, "little"), 0)
    del checkpoints
    later = StateDirectory(tmp_path / "state")
    (found,) = later.runs
    later.journal.close()
    assert found.checkpoint is None
    (record,) = caplog.records
    assert record.getMessage().startswith("journal: checkpoints of another version are not read")


TUNED = Tuned(
    tuning=Tuning(rate=20.0, duration_ns=None, labels={"a": "b"}, generator=None, jitter=0.0, jitter_seed=0),
    origin=ValueOrigin(7, 0.25),
    config={"rate": 20.0},
    segment_ns=700_000_000,
    segment_tick=7,
    cycle_shift_ns=700_000_000,
    retunes=(Retuned(7, 1_700_000_000 * 10**9, {"rate": 20.0}),),
)


def test_a_changed_run_is_read_back_as_it_is_now(tmp_path: Path) -> None:
    """With what it was changed to; a checkpoint of before the change, or none, gives way to the tick of the change."""
    journal = Journal(tmp_path / "journal")
    journal.put([run("a"), run("b")])
    journal.retune("id-a", TUNED)
    journal.close()
    for _ in range(2):
        journal = Journal(tmp_path / "journal")
        changed, other = journal.load()
        assert (changed.tuned, other.tuned) == (TUNED, None)
        plan = changed.entry.plan
        assert (plan.rate, plan.launch_rate, plan.labels, plan.origin) == (20.0, 10.0, {"a": "b"}, ValueOrigin(7, 0.25))
        assert changed.entry.config == {"rate": 20.0}
        journal.put([changed, other])
        journal.close()
    for older in (None, Checkpoint(counters=Counters(next_tick=5, total_events=5))):
        checkpoint = changed.recovered(older).checkpoint
        assert checkpoint is not None
        counters = checkpoint.counters
        assert (counters.next_tick, counters.segment_tick, counters.segment_ns) == (7, 7, 700_000_000)
    standing = Checkpoint(counters=Counters(next_tick=7, segment_tick=3, total_events=7))
    counters = changed.recovered(standing).checkpoint.counters  # type: ignore[union-attr]  # it has one
    assert (counters.next_tick, counters.segment_tick, counters.cycle_shift_ns) == (7, 7, 700_000_000)
    later = Checkpoint(counters=Counters(next_tick=9, segment_tick=8))
    assert changed.recovered(later).checkpoint == later


def test_only_the_newest_changes_are_kept() -> None:
    """A hundred of them, fewer when they are long; the newest in any case."""
    kept: tuple[Retuned, ...] = ()
    for tick in range(150):
        kept = with_newest(kept, Retuned(tick, None, {"rate": 1.0}))
    assert [one.tick for one in kept] == list(range(50, 150))
    kept = with_newest(kept, Retuned(150, None, {"labels": {"a": "b" * 100_000}}))
    assert [one.tick for one in kept] == [150]


def test_a_journal_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """Its runs go on; that they may be changed is new."""
    journal = Journal(tmp_path / "journal")
    journal.put([run("a", row=3)])
    journal.close()
    with sqlite3.connect(tmp_path / "journal") as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN tuned")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    journal = Journal(tmp_path / "journal")
    assert journal.load() == [run("a", row=3)]
    journal.retune("id-a", TUNED)
    journal.close()
    journal = Journal(tmp_path / "journal")
    assert [one.tuned for one in journal.load()] == [TUNED]
    journal.close()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = os.urandom(len(content) // 2)
    path.write_bytes(content)


def of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


def without_its_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE runs")
    connection.close()


@pytest.mark.parametrize("spoil", [damage, of_another_version, without_its_table])
def test_a_journal_that_cannot_be_used_is_moved_away(
    tmp_path: Path, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is lost, the log names both places, and there is a new one."""
    directory = StateDirectory(tmp_path)
    directory.journal.put([run("a")])
    directory.journal.close()
    os.close(directory.checkpoints)
    assert callable(spoil)
    spoil(tmp_path / "journal.sqlite")
    later = StateDirectory(tmp_path)
    assert later.runs == []
    assert len(list(tmp_path.glob("journal.sqlite.unusable-*"))) == 1
    assert "cannot be used" in caplog.text
    later.journal.put([run("b")])
    later.journal.close()
    os.close(later.checkpoints)


def test_a_run_of_another_version_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path / "journal")
    journal.put([run("a"), run("b")])
    journal.close()
    with sqlite3.connect(tmp_path / "journal") as connection:
        connection.execute("UPDATE runs SET entry = ? WHERE id = 'id-a'", (msgspec.msgpack.encode({"plan": 1}),))
    connection.close()
    journal = Journal(tmp_path / "journal")
    assert [one.id for one in journal.load()] == ["id-b"]
    assert "id-a" in str(caplog.records[-1].__dict__)
    journal.close()


_HOLDER = """
import sys, signal
from pathlib import Path
from supervisor.journal.directory import StateDirectory
StateDirectory(Path(sys.argv[1]))
print("held", flush=True)
signal.pause()
"""


def test_two_daemons_never_share_a_directory(tmp_path: Path) -> None:
    """The second is refused at once while the first lives, and has it as soon as that is gone."""
    first = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdout.readline() == b"held\n"
    with pytest.raises(DirectoryTakenError, match=f"process id {first.pid}; give each daemon a directory of its own"):
        StateDirectory(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    directory = StateDirectory(tmp_path)
    directory.journal.close()
    os.close(directory.checkpoints)


def test_a_directory_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StartupError, match=r"--state-dir .*file/state: Not a directory.*; the daemon's user must be able"
    ):
        StateDirectory(tmp_path / "file" / "state")


def test_a_file_in_place_of_the_directory_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StartupError, match=r"--state-dir .*state: this is not a directory"):
        StateDirectory(tmp_path / "state")


@pytest.mark.parametrize("name", ["checkpoints", "daemon.pid", "journal.sqlite"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "fifo"])
def test_what_is_no_file_stops_the_start(tmp_path: Path, name: str, kind: str) -> None:
    """At once, and what a link leads to is not touched."""
    path, other = tmp_path / "state" / name, tmp_path / "other"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(other)
        if kind == "link":
            other.write_text("precious")
    with pytest.raises(StartupError, match=f"--state-dir .*state: {name} is not a regular file"):
        StateDirectory(path.parent)
    assert other.exists() == (kind == "link")
    assert not other.exists() or other.read_text() == "precious"


def test_what_was_kept_can_be_forgotten(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.journal.put([run("a")])
    directory.journal.close()
    os.close(directory.checkpoints)
    later = StateDirectory(tmp_path, forgets=True)
    assert later.runs == []
    later.journal.close()
    os.close(later.checkpoints)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["journal.sqlite", "journal.sqlite-wal", "checkpoints", "daemon.pid"]),
    share=st.floats(0, 1),
    noise=st.binary(max_size=64),
    caches_left=st.booleans(),
)
def test_what_a_power_cut_leaves_never_stops_a_start(
    tmp_path_factory: pytest.TempPathFactory, name: str, share: float, noise: bytes, caches_left: bool
) -> None:
    """Files cut off anywhere, with noise behind: what is whole is read, the rest is left out, and new runs are kept."""
    living = tmp_path_factory.mktemp("living")
    directory = StateDirectory(living)
    checkpoints = Checkpoints(4, directory.checkpoints)
    for number in range(3):
        directory.journal.put([run(str(number), row=number)])
    copy = tmp_path_factory.mktemp("copy")
    for path in living.iterdir():
        if caches_left or not path.name.endswith("-shm"):
            shutil.copy(path, copy / path.name)
    directory.journal.close()
    del checkpoints
    if (copy / name).exists():
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: int(share * len(content))] + noise)
    later = StateDirectory(copy)
    assert {one.id for one in later.runs} <= {"id-0", "id-1", "id-2"}
    later.journal.put([run("new")])
    later.journal.close()
    os.close(later.checkpoints)
    again = StateDirectory(copy)
    assert "id-new" in {one.id for one in again.runs}
    again.journal.close()
    os.close(again.checkpoints)
