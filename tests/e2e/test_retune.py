"""Scenarios that are changed while they run, over HTTP: the same bytes up to the named tick, new ones from there."""

import math
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

Json = dict[str, Any]


def wave(path: Path, **fields: Any) -> Json:
    entry = {
        "signal_type": "metrics",
        "name": "wave",
        "rate": 50,
        "labels": {"zone": "a", "old": "x"},
        "generator": {"type": "sine", "amplitude": 5.0, "period_secs": 2.0, "offset": 1.0},
        "encoder": {"type": "prometheus_text"},
        "sink": {"type": "file", "path": str(path)},
    }
    return {"version": 2, "scenarios": [entry | fields]}


def patch(server: LiveServer, scenario_id: str, change: Json, status: int = 200) -> Json:
    answer = server.request("PATCH", f"/scenarios/{scenario_id}", json=change)
    assert answer.status_code == status, answer.text
    return dict(answer.json()) if answer.content else {}


def samples(path: Path) -> list[tuple[str, float, int]]:
    """Labels, value and stamp of each line."""
    content = path.read_bytes()
    assert content.endswith(b"\n")
    lines = [line.rsplit(" ", 2) for line in content.decode().splitlines()]
    return [(series.removeprefix("wave"), float(value), int(stamp)) for series, value, stamp in lines]


def check_wave(found: list[tuple[str, float, int]], tick: int) -> None:
    """The wave of `wave` up to `tick`; from there at twice the rate, ten times as high, half as fast, elsewhere."""
    begin_ms = found[0][2]
    for place, (labels, value, stamp) in enumerate(found):
        if place < tick:
            angle = 2 * math.pi * place / 100
            expected = '{old="x",zone="a"}', 1 + 5 * math.sin(angle), begin_ms + place * 20
        else:
            angle = 2 * math.pi * (tick / 100 + (place - tick) / 400)
            expected = '{zone="b"}', 1 + 50 * math.sin(angle), begin_ms + tick * 20 + (place - tick) * 10
        assert (labels, value) == (expected[0], pytest.approx(expected[1], abs=1e-9))
        assert abs(stamp - expected[2]) <= 1


CHANGE: Json = {
    "rate": 100,
    "labels": {"zone": "b", "old": None},
    "generator": {"amplitude": 50, "period_secs": 4},
}


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_a_change_takes_effect_at_the_tick_that_is_named(
    shared_server: LiveServer, tmp_path: Path, isolation: str
) -> None:
    """The file has every tick once; what is shown of the scenario is what it is now, and when it was changed."""
    server = shared_server
    (launched,) = server.launch(wave(tmp_path / "out", isolation=isolation))
    path = f"/scenarios/{launched['id']}"
    server.wait_for_events(launched["id"], 10)
    changed = patch(server, launched["id"], CHANGE)
    tick = changed["tick"]
    assert (changed["id"], changed["name"], changed["state"]) == (launched["id"], "wave", "running")
    assert changed["changes"] == {
        "rate": 100.0,
        "labels": {"zone": "b"},
        "generator": {"type": "sine", "amplitude": 50.0, "period_secs": 4.0, "offset": 1.0},
    }
    server.wait_for_events(launched["id"], tick + 20)
    assert patch(server, launched["id"], {"rate": 100}) == changed | {"tick": None, "at": None, "changes": {}}
    detail = server.get(path).json()
    assert detail["retunes"] == [{name: changed[name] for name in ("tick", "at", "changes")}]
    assert (detail["config"]["rate"], detail["config"]["labels"]) == (100.0, {"zone": "b"})
    assert server.stats(launched["id"])["target_rate"] == 100.0
    buffered = server.get(f"{path}/metrics?limit=1000").text.splitlines()
    assert all(('zone="a"' in line) is (place < tick) for place, line in enumerate(buffered[: tick + 10]))
    assert 'zone="a"' not in server.get(f"{path}/metrics?mode=snapshot").text
    total = server.delete(path).json()["total_events"]
    found = samples(tmp_path / "out")
    assert len(found) == total >= tick + 20
    check_wave(found, tick)


def test_a_changed_run_outlives_its_daemon(start_server: StartServer, tmp_path: Path) -> None:
    """Killed right after the answer: the file is that of a run that was never interrupted."""
    arguments = "--state-dir", str(tmp_path / "state"), "--on-restart", "fill"
    server = start_server(*arguments)
    (launched,) = server.launch(wave(tmp_path / "out"))
    server.wait_for_events(launched["id"], 10)
    changed = patch(server, launched["id"], CHANGE)
    server.stop(signal.SIGKILL)
    server = start_server(*arguments)
    wait_until(lambda: server.get(f"/scenarios/{launched['id']}").ok, "it goes on")
    detail = server.get(f"/scenarios/{launched['id']}").json()
    assert (detail["config"]["rate"], len(detail["retunes"])) == (100.0, 1)
    server.wait_for_events(launched["id"], changed["tick"] + 100)
    assert server.get(f"/scenarios/{launched['id']}").json()["retunes"] == detail["retunes"]
    total = server.delete(f"/scenarios/{launched['id']}").json()["total_events"]
    found = samples(tmp_path / "out")
    assert len(found) == total
    check_wave(found, changed["tick"])


def test_a_paused_entry_is_changed_before_its_next_tick(shared_server: LiveServer, tmp_path: Path) -> None:
    """While its gate is closed the tick has no instant yet; a new rate of what it watches moves the gate on."""
    server = shared_server
    upstream = {
        "signal_type": "metrics",
        "id": "up",
        "name": "up",
        "rate": 50,
        "generator": {"type": "constant", "value": 0},
        "sink": {"type": "file", "path": str(tmp_path / "up")},
    }
    gated = wave(tmp_path / "out", duration="60s", **{"while": {"ref": "up", "op": ">", "value": 1}})["scenarios"]
    launched = {one["name"]: one["id"] for one in server.launch({"version": 2, "scenarios": [upstream, *gated]})}
    server.wait_for_state(launched["wave"], "paused")
    changed = patch(server, launched["wave"], CHANGE)
    assert (changed["state"], changed["tick"], changed["at"]) == ("paused", 0, None)
    assert patch(server, launched["wave"], {"duration": None}, 422)["faults"][0]["path"] == "duration"
    patch(server, launched["up"], {"generator": {"value": 2}})
    server.wait_for_events(launched["wave"], 5)
    server.delete(f"/scenarios/{launched['wave']}")
    server.delete(f"/scenarios/{launched['up']}")
    check_wave(samples(tmp_path / "out"), 0)


def test_what_cannot_be_changed_is_refused_and_named(shared_server: LiveServer, tmp_path: Path) -> None:
    """With every fault and its place; the scenario goes on as it was."""
    server = shared_server
    (launched,) = server.launch(wave(tmp_path / "out"))
    refused = patch(
        server, launched["id"], {"name": "x", "sink": {"type": "stdout"}, "generator": {"type": "step"}}, 422
    )
    assert [fault["path"] for fault in refused["faults"]] == ["name", "sink", "generator.type"]
    assert refused["error"] == "unprocessable_entity"
    assert "`name` cannot be changed while the scenario runs" in refused["detail"]
    assert [fault["path"] for fault in patch(server, launched["id"], {"rate": -1}, 422)["faults"]] == ["rate"]
    unknown = patch(server, launched["id"], {"generator": {"amplitud": 1}}, 400)
    assert "`amplitud`" in unknown["faults"][0]["message"]
    yaml = server.request(
        "PATCH", f"/scenarios/{launched['id']}", data="labels:\n  a-b: c\n", headers={"Content-Type": "text/yaml"}
    )
    assert (yaml.status_code, yaml.json()["faults"][0]["line"]) == (422, 2)
    detail = server.get(f"/scenarios/{launched['id']}").json()
    assert "retunes" not in detail
    assert detail["config"]["rate"] == 50.0
    server.delete(f"/scenarios/{launched['id']}")
    assert patch(server, launched["id"], {"rate": 1}, 404)["error"] == "not_found"
    (short,) = server.launch(wave(tmp_path / "short", duration="100ms"))
    server.wait_for_state(short["id"], "finished")
    assert patch(server, short["id"], {"rate": 1}, 409)["error"] == "conflict"
    server.delete(f"/scenarios/{short['id']}")


def test_a_segment_is_not_changed_alone(shared_server: LiveServer, tmp_path: Path) -> None:
    """The others would have to change at the same tick, which nobody can promise."""
    answer = shared_server.post(wave(tmp_path / "out"), "/scenarios?segment=1/1")
    scenario_id = answer.json()["id"] if "id" in answer.json() else answer.json()["scenarios"][0]["id"]
    assert "segment" in patch(shared_server, scenario_id, {"rate": 5}, 422)["detail"]
    shared_server.delete(f"/scenarios/{scenario_id}")


def test_a_run_that_its_sink_holds_up_is_not_changed(start_server: StartServer, tmp_path: Path) -> None:
    """The answer comes in time, and nothing has changed, also when the sink goes on later."""
    server = start_server("--request-timeout", "1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = {"type": "http_push", "url": f"http://127.0.0.1:{listener.getsockname()[1]}/", "batch_size": 1}
        (launched,) = server.launch(wave(tmp_path / "none", sink=sink))
        peer, _ = listener.accept()
        with peer:
            # The worker waits for the answer from here on.
            assert peer.recv(1 << 16)
            patch(server, launched["id"], {"rate": 5}, 408)
            assert server.stats(launched["id"])["acknowledged_events"] == 0
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert peer.recv(1 << 16)
            assert server.stats(launched["id"])["target_rate"] == 50.0
            assert "retunes" not in server.get(f"/scenarios/{launched['id']}").json()
    server.delete(f"/scenarios/{launched['id']}")
