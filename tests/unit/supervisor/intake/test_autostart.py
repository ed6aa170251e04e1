"""Which files of a catalog are started, and what a sweep over them says and leaves."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.errors import SondadError, StartupError
from supervisor.compiler import BodyFormat
from supervisor.engine.control_plane import LaunchError
from supervisor.intake.autostart import Readiness, Sweep, find_candidates
from supervisor.intake.intake import Intake
from supervisor.settings import Settings, parse_settings
from tests.support.memory_plane import MemoryControlPlane

SCENARIO = """\
version: 2
kind: runnable
scenario_name: {name}
scenarios:
  - {{id: a, signal_type: metrics, name: a, rate: 1, generator: {{type: constant, value: 1.0}}}}
  - {{id: b, signal_type: metrics, name: b, rate: 1, generator: {{type: constant, value: 1.0}}}}
"""


def settings_for(directory: Path, *flags: str) -> Settings:
    return parse_settings("sonda-server", ["--catalog", str(directory), "--autostart", *flags], {})


class Swept:
    """One sweep over a directory, from its candidates to its end."""

    def __init__(self, directory: Path, plane: MemoryControlPlane, *flags: str) -> None:
        settings = settings_for(directory, *flags)
        paths = find_candidates(settings)
        assert paths is not None
        self.ended = 0
        self.seen_at_end: Readiness | None = None
        self.sweep = Sweep(paths, Intake(plane, settings, SystemClock()), self._end)

    def _end(self) -> None:
        self.ended += 1
        self.seen_at_end = self.sweep.readiness()

    def run(self) -> "Swept":
        self.sweep.start()
        self.sweep.join(20)
        assert self.ended == 1
        return self


def messages(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.fields["reason"]) for record in caplog.records if "reason" in getattr(record, "fields", {})]


@pytest.fixture
def plane() -> MemoryControlPlane:
    return MemoryControlPlane()


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_candidates_are_the_runnable_entries_by_name(tmp_path: Path) -> None:
    """Packs, other files and files without a kind are none; the order is that of the entry names."""
    (tmp_path / "1.yaml").write_text(SCENARIO.format(name="zebra"))
    (tmp_path / "2.yml").write_text(SCENARIO.format(name="Ape"))
    (tmp_path / "3_b.yaml").write_text(SCENARIO.format(name="x").replace("scenario_name: x\n", ""))
    (tmp_path / "pack.yaml").write_text("version: 2\nkind: composable\nname: p\n")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    (tmp_path / "notes.txt").write_text("kind: runnable\n")
    (tmp_path / "sub").mkdir()
    assert find_candidates(settings_for(tmp_path)) == [tmp_path / name for name in ("3_b.yaml", "2.yml", "1.yaml")]


def test_without_autostart_nothing_is_enumerated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A catalog alone is announced and not read, so equal names in it are no reason not to start."""
    for stem in "ab":
        (tmp_path / f"{stem}.yaml").write_text(SCENARIO.format(name="same"))
    assert find_candidates(parse_settings("s", ["--catalog", str(tmp_path)], {})) is None
    assert messages(caplog, "pack catalog enabled for POST /scenarios")
    assert not messages(caplog, "autostart:")
    assert find_candidates(parse_settings("s", [], {})) is None


def test_what_cannot_be_started_from(tmp_path: Path) -> None:
    """No catalog, no directory, two equal names, a name that is no text: each is said and ends the start."""
    with pytest.raises(StartupError, match=r"--autostart requires --catalog <DIR> \(or SONDA_AUTOSTART requires"):
        find_candidates(parse_settings("s", ["--autostart"], {}))
    with pytest.raises(StartupError, match=f"--catalog {tmp_path}/none: does not exist or is not a directory"):
        find_candidates(settings_for(tmp_path / "none"))
    for stem in "ab":
        (tmp_path / f"{stem}.yaml").write_text(SCENARIO.format(name="same"))
    with pytest.raises(StartupError) as caught:
        find_candidates(settings_for(tmp_path))
    assert str(caught.value) == (
        f"--autostart: catalog {tmp_path} is not startable: catalog {tmp_path} contains duplicate entry name "
        f'"same": {tmp_path}/a.yaml and {tmp_path}/b.yaml'
    )
    for stem in "ab":
        (tmp_path / f"{stem}.yaml").unlink()
    (tmp_path / "\udcff.yaml").write_text("kind: runnable\n")
    with pytest.raises(StartupError, match="is not startable: cannot derive name from filename"):
        find_candidates(settings_for(tmp_path))


def test_a_catalog_that_cannot_be_listed_starts_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, plane: MemoryControlPlane
) -> None:
    """It is said, and the sweep over nothing ends at once."""

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    swept = Swept(tmp_path, plane).run()
    assert messages(caplog, "autostart: catalog could not be read, starting nothing")
    assert "Permission denied (os error 13)" in reasons(caplog)[0]
    assert swept.seen_at_end == Readiness("finished", 0, 0)


def test_broken_files_are_said_and_others_skipped_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no YAML or not UTF-8 is named; one without a kind is not."""
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    assert find_candidates(settings_for(tmp_path)) == []
    said = messages(caplog, "warning: catalog: skipping")
    assert [line.partition(": unparseable YAML: ")[0] for line in said[:1]] == [
        f"warning: catalog: skipping {tmp_path}/broken.yaml"
    ]
    assert said[1].startswith(f"warning: catalog: skipping {tmp_path}/latin.yaml: unreadable: not UTF-8")
    assert len(said) == 2


def test_a_sweep_starts_all_rows_of_all_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """In the order of the names, each with its path as origin; counts are files, and `finished` comes first."""
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.format(name=name))
    swept = Swept(tmp_path, plane)
    assert swept.sweep.readiness() == Readiness("in_progress", 0, 3)
    swept.run()
    assert swept.seen_at_end == Readiness("finished", 3, 3)
    assert [scenario.scenario_name for scenario in plane.scenarios()] == ["one", "one", "three", "three", "two", "two"]
    launched = [record.fields for record in caplog.records if record.getMessage() == "scenario launched"]
    assert [line["origin"] for line in launched[::2]] == [
        str(tmp_path / f"{name}.yaml") for name in ("one", "three", "two")
    ]
    assert messages(caplog, "autostart:") == ["autostart: started 3 of 3 runnable catalog entries"]


def test_a_file_that_fails_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """Whatever it fails at: one line with the reason a POST would have got, nothing left behind, the rest started."""
    (tmp_path / "a.yaml").write_text("kind: runnable\nversion: 1\n")
    (tmp_path / "b.yaml").write_text(SCENARIO.format(name="b").replace("rate: 1", "rate: 0"))
    (tmp_path / "c.yaml").write_text(SCENARIO.format(name="c").replace("rate: 1", "speed: 1"))
    (tmp_path / "d.yaml").write_text(SCENARIO.format(name="taken"))
    (tmp_path / "e.yaml").write_text(SCENARIO.format(name="e"))
    (tmp_path / "f.yaml").write_text(SCENARIO.format(name="gone"))
    settings = settings_for(tmp_path)
    intake = Intake(plane, settings, SystemClock())
    intake.launch(intake.compile(SCENARIO.format(name="taken").encode(), BodyFormat.YAML), "test", None)
    swept = Swept(tmp_path, plane)
    (tmp_path / "f.yaml").unlink()
    caplog.clear()
    swept.run()
    assert swept.seen_at_end == Readiness("finished", 1, 6)
    assert [scenario.scenario_name for scenario in plane.scenarios()] == ["taken", "taken", "e", "e"]
    for line in (
        f"{tmp_path}/a.yaml: does not compile, skipping catalog entry",
        f"{tmp_path}/b.yaml: validation failed",
        f"{tmp_path}/c.yaml: does not compile, skipping catalog entry",
        f"{tmp_path}/d.yaml: rejected duplicate scenario_name",
        f"{tmp_path}/f.yaml: unreadable, skipping catalog entry",
        "autostart: started 1 of 6 runnable catalog entries",
    ):
        assert messages(caplog, line) == [line]
    assert len(messages(caplog, "skipping catalog entry")) == 3
    assert reasons(caplog)[0].startswith("body is not a v2 scenario.")
    assert "speed" in reasons(caplog)[1]
    assert reasons(caplog)[2] == "No such file or directory (os error 2)"


def test_a_full_server_and_a_launch_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """Capacity and workers are up to the shared path: its line, no second one."""
    (tmp_path / "a.yaml").write_text(SCENARIO.format(name="a"))
    full = MemoryControlPlane(capacity=1)
    assert Swept(tmp_path, full).run().seen_at_end == Readiness("finished", 0, 1)
    assert messages(caplog, f"{tmp_path}/a.yaml: ") == [f"{tmp_path}/a.yaml: scenario cap reached"]
    caplog.clear()
    plane.launch_error = LaunchError("no worker can be started")
    assert Swept(tmp_path, plane).run().seen_at_end == Readiness("finished", 0, 1)
    assert messages(caplog, f"{tmp_path}/a.yaml: ") == [f"{tmp_path}/a.yaml: failed to launch scenarios"]


def test_an_unexpected_error_in_one_file_does_not_end_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """It is logged with its traceback, as that file's; the next one is tried."""
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.format(name=name))
    plane.launch_error = ZeroDivisionError("a bug")
    assert Swept(tmp_path, plane).run().seen_at_end == Readiness("finished", 0, 2)
    assert messages(caplog, "panicked") == [
        f"{tmp_path}/{name}.yaml: panicked while starting, skipping catalog entry" for name in "ab"
    ]
    assert reasons(caplog) == ["a bug", "a bug"]
    assert all(record.exc_info for record in caplog.records if "panicked" in record.getMessage())


def test_a_cancelled_sweep_stops_at_a_file_boundary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """The file in hand is finished, no other is begun; the one line says how many are left."""
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.format(name=name))
    swept = Swept(tmp_path, plane)
    launch = plane.launch

    def launch_and_cancel(*arguments: object) -> object:
        swept.sweep.cancel()
        return launch(*arguments)

    plane.launch = launch_and_cancel  # type: ignore[method-assign, assignment]
    swept.run()
    assert swept.seen_at_end == Readiness("in_progress", 1, 3)
    assert messages(caplog, "autostart:") == [
        "autostart: shutdown signalled, stopped after starting 1 of 3 runnable catalog entries"
    ]
    (line,) = [record.fields for record in caplog.records if "autostart:" in record.getMessage()]
    assert line == {"started": 1, "total": 3, "remaining": 2}


def test_a_sweep_that_dies_says_so_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: MemoryControlPlane
) -> None:
    """The state is terminal, the counts keep their last values."""
    paths = _Breaking([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    paths[0].write_text(SCENARIO.format(name="a"))
    ended: list[Readiness] = []
    intake = Intake(plane, settings_for(tmp_path), SystemClock())
    sweep = Sweep(paths, intake, lambda: ended.append(sweep.readiness()))
    sweep.start()
    sweep.join(20)
    assert ended == [Readiness("failed", 1, 2)]
    assert messages(caplog, "autostart:")[0].startswith("autostart: sweep ended without finishing — ")


class _Breaking(list[Path]):
    """A list that breaks behind its first item."""

    def __iter__(self) -> Iterator[Path]:
        yield self[0]
        raise SondadError("the list is broken")
