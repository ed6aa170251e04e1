"""The server document's own examples, word for word, with the curl program against a live daemon."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends import backend
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

ROOT = Path(__file__).parents[2]
SEED = ROOT / "tests/golden/seed"
KEY = {"Authorization": "Bearer my-secret-key"}


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


def run(server: LiveServer, example: str, scenario_id: str = "") -> str:
    """Run an example's command where `examples/` is; returns its output."""
    backend("curl")
    command = (SEED / f"{example}.sh").read_text()
    command = command.replace("http://localhost:8080", server.url).replace("<id>", scenario_id)
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**plain, "ID": scenario_id},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(server: LiveServer, example: str, scenario_id: str = "") -> Any:
    return json.loads(run(server, example, scenario_id))


def test_health(server: LiveServer) -> None:
    """The health check needs no credentials and answers its one body."""
    assert run(server, "public-health") == '{"status":"ok"}'


def test_a_single_scenario_body(server: LiveServer) -> None:
    """The flat answer; the scenario runs at its rate and prints to the daemon's standard output."""
    launched = answer(server, "single-scenario")
    assert list(launched) == ["id", "name", "state"]
    assert launched["name"] == "up"
    assert launched["state"] in ("pending", "running")
    server.wait_for_events(launched["id"], 5)
    lines = wait_until(lambda: server.stdout_path.read_text().splitlines()[1:], "lines on stdout")
    assert lines[0].startswith("up 1 ")
    stats = server.stats(launched["id"])
    assert (stats["target_rate"], stats["errors"], stats["last_sink_error"]) == (10.0, 0, None)


@pytest.mark.parametrize(
    ("example", "names"),
    [
        ("multi-scenario", ["cpu_usage", "memory_usage"]),
        ("multi-scenario-file", ["cpu_usage", "app_logs"]),
    ],
)
def test_a_body_of_several_scenarios(server: LiveServer, example: str, names: list[str]) -> None:
    """The list answer, each scenario with an id and a life of its own."""
    launched = answer(server, example)
    assert list(launched) == ["scenarios"]
    assert [row["name"] for row in launched["scenarios"]] == names
    for row in launched["scenarios"]:
        assert list(row) == ["id", "name", "state"]
        server.wait_for_events(row["id"])
    first = launched["scenarios"][0]["id"]
    answer(server, "delete", first)
    assert [row["name"] for row in server.get("/scenarios").json()["scenarios"]] == names[1:]
    before = server.stats(launched["scenarios"][1]["id"])["total_events"]
    server.wait_for_events(launched["scenarios"][1]["id"], before + 1)


def test_phase_offsets(server: LiveServer) -> None:
    """An offset of 0s is accepted; the offset entry waits as pending and then joins."""
    cpu, memory = server.launch((SEED / "phase-offsets.yaml").read_text())
    assert memory["state"] == "pending"
    server.wait_for_events(cpu["id"])
    assert server.stats(memory["id"])["state"] == "pending"
    started = server.wait_for_state(memory["id"], "running")
    assert started["uptime_secs"] > 2.9
    config = server.get(f"/scenarios/{memory['id']}").json()["config"]
    assert config["clock_group"] == "alert-test"


def test_deleting(server: LiveServer) -> None:
    """The answer of the document, and 404 from then on."""
    scenario_id = answer(server, "single-scenario")["id"]
    server.wait_for_events(scenario_id, 3)
    deleted = answer(server, "delete", scenario_id)
    assert list(deleted) == ["id", "status", "total_events"]
    assert (deleted["id"], deleted["status"]) == (scenario_id, "stopped")
    assert deleted["total_events"] >= 3
    assert answer(server, "delete", scenario_id)["error"] == "not_found"
    assert server.get("/scenarios").json() == {"scenarios": []}


def test_the_wedged_sink_expression(start_server: StartServer) -> None:
    """The document's jq expression prints nothing for a healthy scenario and the stats of a wedged one."""
    backend("jq")
    server = start_server("--allow-path", "/dev")
    healthy = answer(server, "single-scenario")["id"]
    server.wait_for_events(healthy)
    assert run(server, "stats", healthy) == ""
    (wedged,) = server.launch(
        "version: 2\ndefaults: {rate: 10, sink: {type: file, path: /dev/full}}\n"
        "scenarios: [{signal_type: metrics, name: w, generator: {type: constant, value: 1}}]\n"
    )
    wait_until(lambda: server.stats(wedged["id"])["total_sink_failures"], "a write has failed")
    shown = json.loads(run(server, "stats", wedged["id"]))
    assert (shown["state"], shown["degraded"], shown["total_events"]) == ("running", True, 0)


def test_a_version_one_body(server: LiveServer) -> None:
    """The migration hint, word for word."""
    refused = server.post_yaml("name: up\nrate: 10\ngenerator: {type: constant, value: 1}\n")
    assert refused.status_code == 400
    answer = refused.json()
    assert [fault["hint"] for fault in answer.pop("faults")] == ["write `version: 2` at the top"]
    assert answer == json.loads((SEED / "v1-error.json").read_text())


def test_a_pack_by_name(server: LiveServer) -> None:
    """Without a catalog a named pack is a compile failure that names it."""
    refused = server.post_yaml(
        "version: 2\ndefaults: {rate: 1}\nscenarios: [{signal_type: metrics, pack: telegraf_snmp_interface}]\n"
    )
    assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")
    assert "pack" in refused.json()["detail"]


def test_a_name_in_use(server: LiveServer) -> None:
    """The 409 of the document, until the scenario is deleted."""
    body = (
        "version: 2\nscenario_name: flap-interface\ndefaults: {rate: 1}\n"
        "scenarios: [{signal_type: metrics, name: link_status, generator: {type: constant, value: 1}}]\n"
    )
    (first,) = server.launch(body)
    refused = server.post_yaml(body)
    assert refused.status_code == 409
    assert refused.json() == {
        "error": "scenario_name 'flap-interface' is already running",
        "conflicting_scenarios": [{"id": first["id"], "name": "link_status", "state": "running"}],
        "hint": "DELETE the conflicting scenarios before posting a new cascade with the same scenario_name",
    }
    assert server.delete(f"/scenarios/{first['id']}").status_code == 200
    server.launch(body)


@pytest.mark.parametrize("given", ["flag", "variable"])
def test_authenticated_requests(start_server: StartServer, given: str) -> None:
    """The key comes from the flag or the environment; the document's commands pass, others get its two 401 bodies."""
    if given == "flag":
        server = start_server("--api-key", "my-secret-key")
    else:
        server = start_server(environment={"SONDA_API_KEY": "my-secret-key"})
    launched = answer(server, "authorized-post")
    assert [row["id"] for row in answer(server, "authorized-list")["scenarios"]] == [launched["id"]]
    assert run(server, "public-health") == '{"status":"ok"}'
    missing = server.get("/scenarios")
    assert (missing.status_code, missing.json()) == (
        401,
        {"error": "unauthorized", "detail": "missing or malformed Authorization header"},
    )
    wrong = server.get("/scenarios", headers={"Authorization": "Bearer other"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "unauthorized", "detail": "invalid API key"})
    for suffix in ("", "/stats", "/metrics"):
        assert server.get(f"/scenarios/{launched['id']}{suffix}").status_code == 401
        assert server.get(f"/scenarios/{launched['id']}{suffix}", headers=KEY).status_code in (200, 204)
    assert server.wait_for_log("API key authentication enabled for /scenarios/*")
    assert "my-secret-key" not in server.log()
    assert "my-secret-key" not in Path(f"/proc/{server.pid}/cmdline").read_text()
    for worker in server.descendants():
        assert "my-secret-key" not in Path(f"/proc/{worker.pid}/environ").read_text(errors="replace")
