"""What the server document says in words, statement by statement, against a live daemon.

Its commands are in `test_http_seed.py`.
"""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver

ROOT = Path(__file__).parents[2]
SEED = ROOT / "tests/golden/seed"

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
CONSTANT = "{signal_type: metrics, name: %s, generator: {type: constant, value: 1}}"


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


def shown(name: str) -> Any:
    """An answer as the document shows it."""
    return json.loads((SEED / f"{name}.json").read_text())


def body(*names: str, head: str = "", defaults: str = "rate: 10, sink: {type: memory}") -> str:
    entries = ", ".join(CONSTANT % name for name in names)
    return f"version: 2\n{head}defaults: {{{defaults}}}\nscenarios: [{entries}]\n"


def without_ids(answer: Any) -> Any:
    """The answer with the ids of the document in place of the real ones, which must be UUIDs."""
    if isinstance(answer, dict):
        if "id" in answer:
            assert re.fullmatch(UUID, answer["id"])
        return {key: "…" if key == "id" else without_ids(value) for key, value in answer.items()}
    return [without_ids(item) for item in answer] if isinstance(answer, list) else answer


# --- Starting the server


def test_port_address_and_verbosity_are_settings(start_server: StartServer) -> None:
    """`--port` and `--bind` say where; RUST_LOG says how much is logged, the default being info."""
    usual = start_server("--bind", "127.0.0.1")
    assert usual.get("/health").status_code == 200
    wait_until(lambda: usual.log_lines("sonda-server listening"), "it says that it listens")
    quiet = start_server(environment={"RUST_LOG": "warn"})
    quiet.get("/health")
    assert not quiet.log_lines(" INFO ")


def test_ctrl_c_stops_all_scenarios_before_exiting(start_server: StartServer) -> None:
    """Every running scenario is told to stop, and each is accounted for."""
    server = start_server()
    server.launch(body("a", "b", "c"))
    assert server.stop(signal.SIGINT) == 0
    assert len(server.log_lines("scenario task joined")) == 3
    assert server.log_lines("sonda-server shut down cleanly")


# --- Starting scenarios


@pytest.mark.parametrize("content_type", ["text/yaml", "application/x-yaml"])
def test_yaml_is_accepted_as(server: LiveServer, content_type: str) -> None:
    """Both names of it."""
    answer = server.request("POST", "/scenarios", data=body("up"), headers={"Content-Type": content_type})
    assert answer.status_code == 201


def test_a_yaml_file_can_be_posted_as_its_json_equivalent(server: LiveServer) -> None:
    """The same scenarios come of it."""
    text = (SEED / "multi-scenario.yaml").read_text()
    from_yaml, from_json = server.launch(text), server.launch(yaml.safe_load(text))
    assert [row["name"] for row in from_yaml] == [row["name"] for row in from_json]
    configs = [
        [server.get(f"/scenarios/{row['id']}").json()["config"] for row in rows] for rows in (from_yaml, from_json)
    ]
    assert configs[0] == configs[1]


def test_a_sink_on_loopback_is_warned_of_and_launched(server: LiveServer) -> None:
    """201 with the document's warning, word for word, which also stands in the log; else the field is absent."""
    answer = server.post_yaml(
        body("up", defaults="rate: 1, sink: {type: http_push, url: 'http://localhost:8428/api/v1/write'}")
    )
    assert answer.status_code == 201
    expected = shown("warnings")
    assert without_ids(answer.json()) == {**expected, "id": "…"}
    (line,) = server.wait_for_log("sink pre-flight warning")
    assert " WARN " in line
    assert expected["warnings"][0] in line
    assert list(server.post_yaml(body("up")).json()) == ["id", "name", "state"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_every_spelling_of_loopback_is_warned_of(server: LiveServer, host: str) -> None:
    """Whether it was meant is the user's to say."""
    url = f"http://{host}:1/x"
    answer = server.post_yaml(body("up", defaults=f"rate: 1, sink: {{type: http_push, url: '{url}'}}"))
    assert (answer.status_code, len(answer.json()["warnings"])) == (201, 1)
    assert f"`{url}`" in answer.json()["warnings"][0]


def test_the_multi_scenario_body(server: LiveServer) -> None:
    """A metric and a log, launched together; the answer as the document shows it, each with an id and a life."""
    text = (SEED / "multi-scenario.yaml").read_text()
    answer = server.post_yaml(text)
    assert answer.status_code == 201
    assert without_ids(answer.json()) == {
        "scenarios": [{**row, "id": "…"} for row in shown("multi-scenario")["scenarios"]]
    }
    metric, log = answer.json()["scenarios"]
    assert metric["id"] != log["id"]
    server.wait_for_events(metric["id"], 3)
    server.wait_for_events(log["id"], 3)
    lines = server.stdout_path.read_text().splitlines()[1:]
    assert [line for line in lines if line.startswith("cpu_usage ")]
    messages = {json.loads(line)["message"] for line in lines if line.startswith("{")}
    assert all(re.fullmatch(r"Request from 10\.0\.0\.[12] to /api/v1/(health|metrics)", text) for text in messages)
    example = (ROOT / "examples/multi-scenario.yaml").read_text()
    assert "".join(line for line in example.splitlines(True) if not line.startswith("#")) == text


def test_the_shape_follows_the_number_of_entries(start_server: StartServer) -> None:
    """One entry is answered flat, whatever the format; an entry that fans out of a pack as a list."""
    server = start_server("--builtin-packs")
    assert list(server.post_yaml(body("up")).json()) == ["id", "name", "state"]
    pack = "version: 2\ndefaults: {rate: 1, sink: {type: memory}}\nscenarios: [{signal_type: metrics, pack: %s}]\n"
    assert len(server.post_yaml(pack % "telegraf_snmp_interface").json()["scenarios"]) > 1


@pytest.mark.parametrize(
    ("posted", "status", "detail"),
    [
        ("name: up\nrate: 1\n", 400, shown("v1-error")["detail"]),
        (body("up", head="bogus: 1\n"), 400, "bogus"),
        (body("up").replace("generator:", "generator: {type: constant, value: 1}, genrator:"), 400, "genrator"),
        ("version: 2\nscenarios: [{signal_type: metrics, rate: 1, pack: no_such_pack}]", 400, "no_such_pack"),
        (body(), 400, "scenario"),
        (body("up", "down", defaults="rate: 0"), 422, "scenario[0]: rate must be positive, got 0"),
        (body("up", defaults="rate: 1, duration: 0s"), 422, 'scenario[0]: invalid duration "0s"'),
        (
            body("up", "down").replace("name: down", "name: down, rate: -5"),
            422,
            "scenario[1]: rate must be positive, got -5",
        ),
    ],
)
def test_one_bad_entry_rejects_the_whole_body(server: LiveServer, posted: str, status: int, detail: str) -> None:
    """The status says whether it compiles, the detail what is wrong; nothing is launched."""
    answer = server.post_yaml(posted)
    assert answer.status_code == status
    assert answer.json()["error"] == {400: "bad_request", 422: "unprocessable_entity"}[status]
    assert detail in answer.json()["detail"]
    assert server.get("/scenarios").json() == {"scenarios": []}


@pytest.mark.parametrize(
    ("content_type", "posted"),
    [
        ("text/yaml", b"version: 2\n# \xff\n"),
        ("application/json", b"\xff"),
        ("application/json", b'{"version": 2,'),
        ("text/yaml", b"version: [2\n"),
        ("application/json", b'{"scenarios": []}'),
    ],
)
def test_a_body_that_is_no_text_of_its_format_is_400(server: LiveServer, content_type: str, posted: bytes) -> None:
    """Not UTF-8, not JSON, not YAML, or without a version."""
    answer = server.request("POST", "/scenarios", data=posted, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert answer.json()["detail"]


def test_a_scenario_without_a_duration_runs_until_it_is_deleted(server: LiveServer) -> None:
    """The canonical example: POST starts it, DELETE ends it."""
    (row,) = server.launch((ROOT / "examples/long-running-metrics.yaml").read_text())
    detail = server.get(f"/scenarios/{row['id']}").json()
    assert detail["config"]["duration"] is None
    server.wait_for_events(row["id"])
    assert server.stats(row["id"])["state"] == "running"
    assert server.delete(f"/scenarios/{row['id']}").json()["status"] == "stopped"


def test_a_duration_of_one_entry_is_its_own(server: LiveServer) -> None:
    """Put inside an entry and not into the defaults, it ends that entry alone."""
    short, long = server.launch(body("short", "long").replace("name: short", "name: short, duration: 200ms"))
    server.wait_for_state(short["id"], "finished")
    assert server.stats(long["id"])["state"] == "running"


def test_after_chains_are_honoured(server: LiveServer) -> None:
    """An entry that waits for another's value is pending, and starts when the value is there."""
    first, second = server.launch(
        "version: 2\ndefaults: {rate: 20, duration: 60s, sink: {type: memory}}\nscenarios:\n"
        "  - {id: load, signal_type: metrics, name: load, generator: {type: step, start: 0, step_size: 1}}\n"
        "  - {id: alert, signal_type: metrics, name: alert, generator: {type: constant, value: 1}, "
        "after: {ref: load, op: '>', value: 9}}\n"
    )
    assert second["state"] == "pending"
    started = server.wait_for_state(second["id"], "running")
    assert started["uptime_secs"] >= 0.5
    assert server.stats(first["id"])["state"] == "running"


# --- Refusals


def test_a_pack_is_not_found_without_a_catalog(server: LiveServer) -> None:
    """The document's example: 400 that names the pack."""
    answer = server.post_yaml(
        "version: 2\nscenarios: [{signal_type: metrics, rate: 1, pack: telegraf_snmp_interface}]\n"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert "telegraf_snmp_interface" in answer.json()["detail"]


def test_a_duplicate_scenario_name_lists_every_active_scenario(server: LiveServer) -> None:
    """The answer of the document, one item for each entry that is still active, until those are deleted."""
    named = body("link_status", head="scenario_name: flap-interface\n")
    (first,) = server.launch(named)
    refused = server.post_yaml(named)
    assert refused.status_code == 409
    expected = shown("conflict")
    expected["conflicting_scenarios"][0]["id"] = first["id"]
    assert refused.json() == expected
    server.delete(f"/scenarios/{first['id']}")
    both = server.launch(body("a", "b", head="scenario_name: flap-interface\n"))
    listed = server.post_yaml(named).json()["conflicting_scenarios"]
    assert [(row["id"], row["name"]) for row in listed] == [(row["id"], row["name"]) for row in both]


def test_anonymous_bodies_and_finished_scenarios_never_conflict(server: LiveServer) -> None:
    """Twice the same body without a name is 201 twice; a name whose scenarios have finished is free."""
    for _ in range(2):
        server.launch(body("up"))
    named = body("up", head="scenario_name: once\n", defaults="rate: 10, duration: 100ms, sink: {type: memory}")
    (row,) = server.launch(named)
    server.wait_for_state(row["id"], "finished")
    server.launch(named)


# --- Listing, stats, deleting


def test_the_list_has_what_the_document_shows(server: LiveServer) -> None:
    """The same keys in the same order and of the same types, and the live state of each."""
    server.launch(body("one") + "scenario_name: x\n")
    (row,) = server.get("/scenarios").json()["scenarios"]
    (example,) = shown("list")["scenarios"]
    assert list(row)[: len(example)] == list(example)
    assert {key: type(row[key]) for key in example} == {key: type(value) for key, value in example.items()}
    assert row["state"] in ("pending", "running")


def test_the_stats_have_what_the_document_shows(server: LiveServer) -> None:
    """The same keys in the same order and of the same types; null where nothing has happened yet."""
    example = shown("stats")
    with Receiver(lambda _: Answer(status=500)) as failing:
        url = f"{failing.url}/loki/api/v1/push"
        (row,) = server.launch(
            "version: 2\ndefaults: {rate: 100}\nscenarios:\n"
            "  - {signal_type: logs, name: noisy_logs, encoder: {type: json_lines},\n"
            f"     sink: {{type: loki, url: '{failing.url}', batch_size: 1}},\n"
            "     log_generator: {type: template, templates: [{message: hello}]}}\n"
        )
        wait_until(lambda: server.stats(row["id"])["total_sink_failures"] > 3, "pushes have failed")
        stats = server.stats(row["id"])
    assert list(stats)[: len(example)] == list(example)
    nullable = {"last_successful_write_at"}
    assert {key: type(stats[key]) for key in example if key not in nullable} == {
        key: type(value) for key, value in example.items() if key not in nullable
    }
    assert stats["last_sink_error"] == f"HTTP 500 from '{url}'"
    assert stats["last_successful_write_at"] is None
    assert stats["consecutive_failures"] == stats["total_sink_failures"] >= 3
    assert stats["state"] == "running"
    (healthy,) = server.launch(body("up"))
    fine = server.wait_for_events(healthy["id"])
    assert isinstance(fine["last_successful_write_at"], int)
    assert (fine["last_sink_error"], fine["total_sink_failures"]) == (None, 0)


def test_on_sink_error_fail_ends_the_scenario_on_the_first_error(server: LiveServer) -> None:
    """`warn`, the default, keeps it alive; with `fail` its state is finished."""
    with Receiver(lambda _: Answer(status=500)) as failing:
        sink = f"{{type: http_push, url: '{failing.url}', batch_size: 1}}"
        warns, fails = server.launch(
            body("warns", "fails", defaults=f"rate: 20, sink: {sink}").replace(
                "name: fails", "name: fails, on_sink_error: fail"
            )
        )
        finished = server.wait_for_state(fails["id"], "finished")
        assert finished["total_sink_failures"] == 1
        wait_until(lambda: server.stats(warns["id"])["total_sink_failures"] > 2, "the other goes on")
        assert server.stats(warns["id"])["state"] == "running"


def test_pending_to_paused_without_running(server: LiveServer) -> None:
    """An entry with `after:` and a `while:` that is closed when the time has come is never running."""
    _, gated = server.launch(
        "version: 2\ndefaults: {rate: 20, duration: 60s, sink: {type: memory}}\nscenarios:\n"
        "  - {id: load, signal_type: metrics, name: load, generator: {type: step, start: 0, step_size: 1}}\n"
        "  - {id: low, signal_type: metrics, name: low, generator: {type: constant, value: 1}, "
        "after: {ref: load, op: '>', value: 9}, while: {ref: load, op: '<', value: 3}}\n"
    )
    states = {gated["state"]}

    def paused() -> bool:
        states.add(server.stats(gated["id"])["state"])
        return "paused" in states

    wait_until(paused, "it is paused")
    assert states == {"pending", "paused"}
    assert server.stats(gated["id"])["total_events"] == 0


def test_deleting_is_not_idempotent(server: LiveServer) -> None:
    """The scenario disappears from the list, and a second DELETE is 404."""
    (row,) = server.launch(body("up"))
    assert server.delete(f"/scenarios/{row['id']}").status_code == 200
    assert server.get("/scenarios").json() == {"scenarios": []}
    assert server.delete(f"/scenarios/{row['id']}").status_code == 404


# --- Authentication


def test_protected_and_public_endpoints(start_server: StartServer) -> None:
    """With a key every endpoint of the document asks for it, but the health check."""
    server = start_server("--api-key", "my-secret-key")
    protected = [
        ("POST", "/scenarios"),
        ("GET", "/scenarios"),
        ("GET", "/scenarios/x"),
        ("DELETE", "/scenarios/x"),
        ("GET", "/scenarios/x/stats"),
        ("GET", "/scenarios/x/metrics"),
        ("POST", "/events"),
    ]
    for method, path in protected:
        missing = server.request(method, path)
        assert (missing.status_code, missing.json()) == (401, shown("missing-key"))
        wrong = server.request(method, path, headers={"Authorization": "Bearer other"})
        assert (wrong.status_code, wrong.json()) == (401, shown("wrong-key"))
        right = server.request(method, path, headers={"Authorization": "Bearer my-secret-key"})
        assert right.status_code in (200, 400, 404)
    assert server.get("/health").status_code == 200


def test_without_a_key_everything_is_public(start_server: StartServer) -> None:
    """And the log says so."""
    server = start_server()
    assert server.get("/scenarios").status_code == 200
    assert server.wait_for_log("API key authentication disabled — all endpoints are public")


# --- Scraping


def test_a_scrape_drains_up_to_a_limit(server: LiveServer) -> None:
    """100 samples unless told, 1000 at most, each once; 204 when there are none; 404 without a scenario."""
    # So many and no more, however late a busy machine is with the last of them.
    until = "name: up, gap_windows: [{at: %s, for: 1h}]"
    posted = body("up", defaults="rate: 1000, sink: {type: memory}")
    (row,) = server.launch(posted.replace("name: up", until % "1500ms"))
    target = f"/scenarios/{row['id']}/metrics"
    server.wait_for_events(row["id"], 1500)
    scrape = server.get(f"{target}?limit=5000")
    assert scrape.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert len(scrape.text.splitlines()) == 1000
    assert server.get(target).status_code == 204
    (row,) = server.launch(posted.replace("name: up", until % "300ms"))
    server.wait_for_events(row["id"], 300)
    assert len(server.get(f"/scenarios/{row['id']}/metrics").text.splitlines()) == 100
    assert server.get(f"/scenarios/{row['id']}/metrics").status_code == 204
    assert server.get("/scenarios/nobody/metrics").status_code == 404
