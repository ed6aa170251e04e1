"""Scenarios that outlive their daemon: whatever ends it, each goes on under its id, on the tick that its clock says."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.live_server import COMMAND, LiveServer
from tests.support.polling import wait_until
from tests.support.small_disk import mounted_disk


def entry(name: str, path: Path, **fields: Any) -> dict[str, Any]:
    return {
        "signal_type": "metrics",
        "name": name,
        "rate": 50,
        "generator": {"type": "step", "step_size": 1.0},
        "encoder": {"type": "prometheus_text"},
        "sink": {"type": "file", "path": str(path)},
    } | fields


def body(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"version": 2, **fields, "scenarios": list(entries)}


def numbers(path: Path) -> list[int]:
    """The values of a file of whole lines: the numbers of its ticks."""
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return [int(float(line.split()[1])) for line in content.splitlines()]


def stamps_ms(path: Path) -> list[int]:
    return [int(line.split()[2]) for line in path.read_bytes().splitlines()]


def instant_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def is_whole(path: Path) -> bool:
    found = numbers(path)
    return found == list(range(len(found)))


@pytest.fixture
def start(start_server: StartServer, tmp_path: Path) -> StartServer:
    """Start daemons that have one state directory, one after the other."""

    def started(*arguments: str, **options: Any) -> LiveServer:
        return start_server("--state-dir", str(tmp_path / "state"), *arguments, **options)

    return started


@pytest.mark.parametrize(
    ("how", "isolation"),
    [(signal.SIGKILL, "process"), (signal.SIGKILL, "shared"), (signal.SIGTERM, "shared"), (None, "process")],
)
def test_what_was_missed_is_made_up_for_or_named(
    start: StartServer, tmp_path: Path, how: signal.Signals | None, isolation: str
) -> None:
    """A kill of the daemon alone, a stop, and a kill of the daemon with all of its workers at once."""
    server = start("--isolation", isolation)
    launched = server.launch(
        body(
            entry("filled", tmp_path / "filled", on_restart="fill"),
            entry("missed", tmp_path / "missed"),
            entry("ended", tmp_path / "ended", on_restart="end"),
            entry("over", tmp_path / "over", duration="1s"),
            scenario_name="all",
        )
    )
    ids = {one["name"]: one["id"] for one in launched}
    server.wait_for_state(ids["over"], "finished")
    for name in ("filled", "missed", "ended"):
        server.wait_for_events(ids[name], 30)
    if how is None:
        server.kill()
    else:
        server.stop(how)
    written = len(numbers(tmp_path / "missed"))

    server = start("--isolation", isolation)
    wait_until(lambda: server.get("/ready").status_code == 200, "all are there again")
    assert len(server.get("/scenarios").json()["scenarios"]) == 4
    server.wait_for_events(ids["filled"], written + 20)
    server.wait_for_events(ids["missed"], written + 20)
    listed = server.get("/scenarios").json()["scenarios"]
    assert {one["id"]: one["state"] for one in listed} == {
        ids["filled"]: "running",
        ids["missed"]: "running",
        ids["ended"]: "finished",
        ids["over"]: "finished",
    }
    ended = server.get(f"/scenarios/{ids['ended']}").json()
    assert ended["exit_reason"] == "ended: the daemon was restarted (on_restart: end)"
    assert ended["stats"]["total_events"] == len(numbers(tmp_path / "ended"))
    assert server.stats(ids["over"])["total_events"] == len(numbers(tmp_path / "over")) > 0
    (hole,) = server.get(f"/scenarios/{ids['missed']}").json()["holes"]
    assert hole["reason"] == "the daemon was down"
    for name in ("filled", "missed"):
        total = server.delete(f"/scenarios/{ids[name]}").json()["total_events"]
        assert total == len(numbers(tmp_path / name))
    assert is_whole(tmp_path / "filled")
    found = numbers(tmp_path / "missed")
    gap = next(i for i, number in enumerate(found) if number != i)
    assert found == [*range(gap), *range(gap + hole["missed_ticks"], len(found) + hole["missed_ticks"])]
    stamps = stamps_ms(tmp_path / "missed")
    assert (instant_ms(hole["from"]), instant_ms(hole["to"])) == (stamps[gap - 1] + 20, stamps[gap])


def test_values_of_every_kind_go_on(start: StartServer, tmp_path: Path) -> None:
    """With `fill` the files of an interrupted run and of one that was not agree, but for what is late at the end."""
    kinds: dict[str, dict[str, Any]] = {
        "wave": {
            "generator": {"type": "sine", "amplitude": 5.0, "period_secs": 2.0, "offset": 1.0},
            "jitter": 0.5,
            "jitter_seed": 3,
        },
        "labels": {"dynamic_labels": [{"key": "pod", "prefix": "p-", "cardinality": 7}]},
        "bursts": {"bursts": {"every": "500ms", "for": "100ms", "multiplier": 4.0}},
        # Beside a silence a gap does not swallow what a busy machine is late with.
        "gaps": {"gaps": {"every": "700ms", "for": "300ms"}, "gap_windows": [{"at": "2s", "for": "50ms"}]},
        "logs": {
            "signal_type": "logs",
            "generator": None,
            "encoder": {"type": "json_lines"},
            "log_generator": {
                "type": "template",
                "seed": 5,
                "templates": [{"message": "user {u}", "field_pools": {"u": ["a", "b", "c"]}}],
            },
        },
        "histogram": {
            "signal_type": "histogram",
            "generator": None,
            "distribution": {"type": "exponential", "rate": 3.0},
            "observations_per_tick": 20,
            "seed": 9,
        },
        "summary": {
            "signal_type": "summary",
            "generator": None,
            "distribution": {"type": "normal", "mean": 3.0, "stddev": 1.0},
            "observations_per_tick": 20,
            "seed": 9,
        },
    }

    def entries(folder: Path, **fields: Any) -> list[dict[str, Any]]:
        made = [entry(name, folder / name, **kind, **fields) for name, kind in kinds.items()]
        return [{key: value for key, value in one.items() if value is not None} for one in made]

    start_time = {"start_time": "2026-01-01T00:00:00Z", "duration": "4s", "on_restart": "fill"}
    server = start()
    launched = server.launch(body(*entries(tmp_path / "cut", **start_time)))
    for number in (signal.SIGKILL, signal.SIGTERM):
        for one in launched:
            server.wait_for_events(one["id"], 5)
        server.stop(number)
        server = start()
        wait_until(lambda: len(server.get("/scenarios").json()["scenarios"]) == len(kinds), "all are there again")  # noqa: B023
    whole = server.launch(body(*entries(tmp_path / "whole", **start_time)))
    for one in [*launched, *whole]:
        server.wait_for_state(one["id"], "finished")
    for name in kinds:
        cut, whole_run = ((tmp_path / folder / name).read_bytes().splitlines() for folder in ("cut", "whole"))
        common = min(len(cut), len(whole_run))
        assert common > 50
        assert cut[:common] == whole_run[:common], name


def test_gates_go_on_in_their_state(start: StartServer, tmp_path: Path) -> None:
    """A paused entry stays paused, an open one goes on, and both hear their upstream again."""
    server = start()
    upstream = entry("up", tmp_path / "up", id="up", rate=20, generator={"type": "constant", "value": 1.0})
    gated = {"rate": 20, "duration": "10m"}
    launched = server.launch(
        body(
            upstream,
            entry("open", tmp_path / "open", **gated, **{"while": {"ref": "up", "op": ">", "value": 0.5}}),
            entry("shut", tmp_path / "shut", **gated, **{"while": {"ref": "up", "op": ">", "value": 1.5}}),
            scenario_name="gates",
        )
    )
    _, is_open, shut = (one["id"] for one in launched)
    server.wait_for_events(is_open, 10)
    server.wait_for_state(shut, "paused")
    server.stop(signal.SIGKILL)
    server = start()
    wait_until(lambda: len(server.get("/scenarios").json()["scenarios"]) == 3, "all are there again")
    before = server.wait_for_events(is_open, 1)["total_events"]
    server.wait_for_events(is_open, before + 10)
    stats = server.stats(shut)
    assert (stats["state"], stats["total_events"]) == ("paused", 0)
    assert "holes" not in server.get(f"/scenarios/{shut}").json()
    assert server.get(f"/scenarios/{is_open}").json()["holes"][0]["missed_ticks"] > 0


def test_the_second_daemon_is_refused(start: StartServer, tmp_path: Path) -> None:
    start()
    second = subprocess.run(
        [COMMAND, "--port", "0", "--state-dir", str(tmp_path / "state")], capture_output=True, timeout=60, check=False
    )
    assert second.returncode == 3
    assert b"in use by the daemon with process id" in second.stderr


def test_what_was_deleted_stays_away_and_fresh_forgets(start: StartServer, tmp_path: Path) -> None:
    """What is over stays on the list, start after start, until a daemon is told to forget."""
    server = start()
    deleted, over = server.launch(
        body(entry("deleted", tmp_path / "deleted"), entry("over", tmp_path / "over", duration="300ms"))
    )
    server.wait_for_state(over["id"], "finished")
    server.stop(signal.SIGKILL)
    server = start()
    wait_until(lambda: server.get("/ready").status_code == 200, "both are there again")
    assert server.delete(f"/scenarios/{deleted['id']}").status_code == 200
    assert server.stop() == 0
    server = start()
    wait_until(lambda: server.get("/ready").status_code == 200, "what is left is there again")
    assert [one["id"] for one in server.get("/scenarios").json()["scenarios"]] == [over["id"]]
    server.stop(signal.SIGKILL)
    server = start("--fresh")
    assert server.get("/scenarios").json() == {"scenarios": []}


def test_a_catalog_is_not_started_a_second_time(start: StartServer, tmp_path: Path) -> None:
    """What it has started goes on; once that is deleted the file is started as ever."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "one.yaml").write_text(
        "version: 2\nkind: runnable\nscenarios:\n- {signal_type: metrics, name: from_catalog, rate: 5, "
        "generator: {type: constant, value: 1}, sink: {type: memory}}\n"
    )
    arguments = ("--catalog", str(catalog), "--autostart")
    server = start(*arguments)
    wait_until(lambda: server.get("/ready").json()["autostart_started"] == 1, "the catalog is started")
    (first,) = server.get("/scenarios").json()["scenarios"]
    server.stop()
    server = start(*arguments)
    wait_until(lambda: server.get("/ready").json()["status"] == "finished", "the catalog was looked at")
    assert [one["id"] for one in server.get("/scenarios").json()["scenarios"]] == [first["id"]]
    server.delete(f"/scenarios/{first['id']}")
    server.stop()
    server = start(*arguments)
    wait_until(lambda: server.get("/ready").json()["autostart_started"] == 1, "the catalog is started")
    (again,) = server.get("/scenarios").json()["scenarios"]
    assert again["id"] != first["id"]


def test_scenarios_cannot_touch_the_state(start: StartServer, tmp_path: Path) -> None:
    server = start("--allow-path", str(tmp_path))
    answer = server.post(body(entry("evil", tmp_path / "state" / "journal.sqlite")))
    assert answer.status_code == 422
    assert "is in the daemon's state directory, which scenarios may not use" in answer.json()["detail"]


@pytest.fixture
def state_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB."""
    with mounted_disk(tmp_path / "disk", "20m") as folder:
        yield folder


def test_a_full_disk_refuses_and_loses_nothing(state_disk: Path, start_server: StartServer, tmp_path: Path) -> None:
    """A POST that cannot be kept starts nothing, a PATCH changes nothing, and both say why; what ran goes on."""
    server = start_server("--state-dir", str(state_disk / "state"))
    kept = server.launch(body(entry("kept", tmp_path / "kept")))[0]["id"]
    filler = state_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    large = body(
        *(entry(f"e{number}", tmp_path / f"e{number}") for number in range(60)), defaults={"isolation": "shared"}
    )
    answer = server.post(large)
    assert answer.status_code == 500
    assert "journal.sqlite" in answer.json()["detail"]
    assert [one["id"] for one in server.get("/scenarios").json()["scenarios"]] == [kept]
    # Larger than what may be free within the journal's file.
    change = {"rate": 5, "labels": {f"l{number}": "x" * 500 for number in range(100)}}
    refused = server.request("PATCH", f"/scenarios/{kept}", json=change)
    assert (refused.status_code, "journal.sqlite" in refused.json()["detail"]) == (500, True)
    assert "retunes" not in server.get(f"/scenarios/{kept}").json()
    total = server.stats(kept)["total_events"]
    server.wait_for_events(kept, total + 10)
    os.unlink(filler)
    assert server.request("PATCH", f"/scenarios/{kept}", json={"jitter_seed": 1}).status_code == 200
    server.launch(large)
