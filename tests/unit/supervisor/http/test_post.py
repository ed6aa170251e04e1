"""POST /scenarios: decoding, the order of its checks, its answers and its log lines."""

import dataclasses
import json
import logging

import pytest

from supervisor.engine.control_plane import CallTimeoutError, LaunchError
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient, FixedClock
from tests.support.memory_plane import MemoryControlPlane

MINIMAL = {
    "version": 2,
    "defaults": {"rate": 10},
    "scenarios": [
        {"id": "up", "signal_type": "metrics", "name": "up", "generator": {"type": "constant", "value": 1.0}}
    ],
}
MINIMAL_JSON = json.dumps(MINIMAL)
NAMED_YAML = "scenario_name: flap\n" + MINIMAL_YAML
TWO_YAML = MINIMAL_YAML + "  - {signal_type: metrics, name: down, generator: {type: constant, value: 0.0}}\n"
V1_HINT = (
    "body is not a v2 scenario. Sonda only accepts v2 scenario bodies (`version: 2` at the top level). "
    "Migrate this body to v2 — see docs/configuration/v2-scenarios.md for the migration guide."
)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    return dict(getattr(record, "fields", {}))


@pytest.mark.parametrize("content_type", ["text/yaml", "application/x-yaml", "Application/YAML; charset=utf-8", None])
def test_yaml_is_read_where_the_type_says_so_or_nothing(client: AppClient, content_type: str | None) -> None:
    """The word may stand anywhere in the type, in any case; no type at all means YAML."""
    headers = {"Content-Type": content_type} if content_type else {}
    assert client.request("POST", "/scenarios", MINIMAL_YAML, headers).status_code == 201


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"])
def test_any_other_type_is_read_as_json(client: AppClient, content_type: str) -> None:
    """Also curl's default type; YAML under such a type is invalid JSON."""
    headers = {"Content-Type": content_type}
    assert client.request("POST", "/scenarios", MINIMAL_JSON, headers).status_code == 201
    refused = client.request("POST", "/scenarios", MINIMAL_YAML, headers)
    assert refused.status_code == 400
    assert refused.json["error"] == "bad_request"
    assert refused.json["detail"].startswith("invalid JSON body: ")
    assert "text/yaml" in refused.json["faults"][0]["hint"]
    assert ("urlencoded" in content_type) == ("urlencoded" in refused.json["faults"][0]["hint"])


def test_one_entry_is_answered_flat_and_two_as_a_list(client: AppClient) -> None:
    """Exactly three keys each, in order, ids are lower-case UUIDs of version 4."""
    one = client.post_yaml(MINIMAL_YAML)
    assert "application/json" in one.headers["content-type"]
    assert list(one.json) == ["id", "name", "state"]
    assert (one.json["name"], one.json["state"]) == ("up", "running")
    two = client.post_yaml(TWO_YAML).json
    assert list(two) == ["scenarios"]
    assert [row["name"] for row in two["scenarios"]] == ["up", "down"]
    ids = [row["id"] for row in (one.json, *two["scenarios"])]
    assert len(set(ids)) == 3
    assert all(len(text) == 36 and text[14] == "4" and text == text.lower() for text in ids)


@pytest.mark.parametrize("body", ["", "- a\n- b\n", "text", "version: 1\n", "version: '2'\n", "version: 2.0\n", "{}"])
def test_what_is_no_version_two_body_gets_the_hint(client: AppClient, body: str) -> None:
    """The migration hint, word for word."""
    answer = client.post_yaml(body)
    assert (answer.status_code, answer.json["error"], answer.json["detail"]) == (400, "bad_request", V1_HINT)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (MINIMAL_YAML.replace("rate: 10", "rat: 10"), "rat"),
        ("version: 2\nscenarios: []\n", ""),
        (MINIMAL_YAML.replace("constant", "konstant"), "konstant"),
        (MINIMAL_YAML + "scenarios: []\n", "scenarios"),
        ("a: [", ""),
    ],
)
def test_a_body_that_does_not_compile_is_400_and_nothing_is_launched(client: AppClient, body: str, named: str) -> None:
    """The detail names the offender."""
    answer = client.post_yaml(body)
    assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
    assert named in answer.json["detail"]
    assert client.get("/scenarios").json == {"scenarios": []}


def test_a_value_that_cannot_run_is_422_naming_the_entry(client: AppClient) -> None:
    """One bad entry refuses the whole body."""
    answer = client.post_yaml(TWO_YAML.replace("name: down,", "name: down, rate: 0,"))
    assert (answer.status_code, answer.json) == (
        422,
        {
            "error": "unprocessable_entity",
            "detail": "configuration error: scenario[1]: rate must be positive, got 0",
            "faults": [
                {
                    "path": "scenarios[1].rate",
                    "line": 5,
                    "column": 46,
                    "message": "rate must be positive, got 0",
                    "hint": "rate is in events a second",
                }
            ],
        },
    )
    assert client.get("/scenarios").json == {"scenarios": []}


def test_a_name_in_use_is_409_and_lists_who_uses_it(client: AppClient) -> None:
    """The active scenarios of the name come in launch order, with their own names; finished ones are left out."""
    ids = client.launch("scenario_name: flap\n" + TWO_YAML)
    answer = client.post_yaml(NAMED_YAML)
    assert answer.status_code == 409
    assert answer.json == {
        "error": "scenario_name 'flap' is already running",
        "conflicting_scenarios": [
            {"id": ids[0], "name": "up", "state": "running"},
            {"id": ids[1], "name": "down", "state": "running"},
        ],
        "hint": "DELETE the conflicting scenarios before posting a new cascade with the same scenario_name",
    }
    client.plane.finish(ids[0])
    assert [row["id"] for row in client.post_yaml(NAMED_YAML).json["conflicting_scenarios"]] == [ids[1]]
    client.plane.finish(ids[1])
    assert client.post_yaml(NAMED_YAML).status_code == 201


def test_names_are_compared_exactly_and_bodies_without_one_never_conflict(client: AppClient) -> None:
    """Another case is another name; anonymous bodies may be posted twice."""
    assert client.post_yaml(NAMED_YAML).status_code == 201
    assert client.post_yaml(NAMED_YAML.replace("flap", "Flap")).status_code == 201
    assert client.post_yaml(MINIMAL_YAML).status_code == 201
    assert client.post_yaml(MINIMAL_YAML).status_code == 201


def test_a_name_in_use_is_told_before_a_value_that_cannot_run_and_after_what_does_not_compile(
    client: AppClient,
) -> None:
    """400 comes before 409, 409 before the 422 of runtime validation."""
    client.launch(NAMED_YAML)
    assert client.post_yaml(NAMED_YAML.replace("rate: 10", "rate: 0")).status_code == 409
    assert client.post_yaml(NAMED_YAML.replace("rate: 10", "rat: 10")).status_code == 400


def test_a_full_daemon_is_429_with_the_number_of_each_state(settings: Settings) -> None:
    """Capacity is checked last, all six states are listed, and a deleted scenario makes room."""
    client = AppClient(MemoryControlPlane(capacity=2), settings)
    first, second = client.launch(TWO_YAML)
    client.plane.finish(first)
    answer = client.post_yaml(MINIMAL_YAML)
    assert (answer.status_code, answer.json) == (
        429,
        {
            "error": "capacity_exceeded",
            "detail": "2 scenarios active (max 2); DELETE finished or stuck scenarios to free slots",
            "by_state": {"pending": 0, "running": 1, "paused": 0, "held": 0, "unresolved": 0, "finished": 1},
        },
    )
    assert client.post_yaml(MINIMAL_YAML.replace("rate: 10", "rate: 0")).status_code == 422
    assert client.request("DELETE", f"/scenarios/{second}").status_code == 200
    assert client.post_yaml(MINIMAL_YAML).status_code == 201


def test_workers_that_cannot_be_started_are_500_with_the_short_reason(client: AppClient) -> None:
    """The reason is the main loop's own text."""
    client.plane.launch_error = LaunchError("no worker could be started within 10 s")
    answer = client.post_yaml(MINIMAL_YAML)
    assert (answer.status_code, answer.json) == (
        500,
        {"error": "internal_server_error", "detail": "no worker could be started within 10 s"},
    )


def test_a_launch_beyond_the_time_limit_is_an_empty_408(client: AppClient) -> None:
    """Only the status tells."""
    client.plane.launch_error = CallTimeoutError("30 s")
    answer = client.post_yaml(MINIMAL_YAML)
    assert (answer.status_code, answer.content) == (408, b"")


def test_the_time_that_compiling_takes_counts(settings: Settings) -> None:
    """When it uses all of the request's time nothing is launched."""

    class Passing(FixedClock):
        def monotonic_ns(self) -> int:
            self.now_ns += 40_000_000_000
            return self.now_ns

    client = AppClient(MemoryControlPlane(), settings, Passing())
    assert client.post_yaml(MINIMAL_YAML).status_code == 408
    assert client.plane.scenarios() == []


def test_an_unexpected_error_is_500_without_its_text(client: AppClient) -> None:
    """What went wrong inside stays in the log."""
    client.plane.launch_error = RuntimeError("the key is sesame")
    answer = client.post_yaml(MINIMAL_YAML)
    assert answer.status_code == 500
    assert "sesame" not in answer.text


def test_a_destination_on_the_own_loopback_is_warned_about_and_launched(
    client: AppClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer and the log carry the same text, once for each warning."""
    body = TWO_YAML.replace("name: down,", "name: down, sink: {type: tcp, address: 'localhost:1'},")
    with caplog.at_level(logging.INFO):
        answer = client.post_yaml(body)
    assert answer.status_code == 201
    (warning,) = answer.json["warnings"]
    assert warning.startswith("scenario entry 'down' sink `tcp` targets `localhost:1` — this host resolves to ")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == "POST /scenarios: sink pre-flight warning"
    assert fields_of(record) == {"message": warning, "origin": "POST /scenarios"}


def test_each_launched_scenario_is_logged_once(client: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """With id, name, state and where it came from."""
    with caplog.at_level(logging.INFO):
        ids = client.launch(TWO_YAML)
    assert [(record.getMessage(), fields_of(record)) for record in caplog.records] == [
        ("scenario launched", {"id": ids[0], "name": "up", "state": "running", "origin": "POST /scenarios"}),
        ("scenario launched", {"id": ids[1], "name": "down", "state": "running", "origin": "POST /scenarios"}),
    ]


@pytest.mark.parametrize(
    ("body", "text", "keys"),
    [
        ("version: 1", "POST /scenarios: invalid request body", ["origin", "error"]),
        (
            MINIMAL_YAML.replace("rate: 10", "rate: 0"),
            "POST /scenarios: validation failed",
            ["origin", "error"],
        ),
        (NAMED_YAML, "POST /scenarios: rejected duplicate scenario_name", ["scenario_name", "count", "origin"]),
        (TWO_YAML, "POST /scenarios: scenario cap reached", ["needed", "origin"]),
    ],
)
def test_a_refused_body_is_one_warning_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture, body: str, text: str, keys: list[str]
) -> None:
    """Each kind of refusal has its own text."""
    client = AppClient(MemoryControlPlane(capacity=2), settings)
    client.launch(NAMED_YAML)
    with caplog.at_level(logging.INFO):
        assert client.post_yaml(body).status_code >= 400
    (record,) = caplog.records
    assert (record.levelname, record.getMessage(), list(fields_of(record))) == ("WARNING", text, keys)


def test_the_key_cannot_be_read_by_a_scenario(settings: Settings) -> None:
    """A body that names the key's variable is refused like any unset variable."""
    settings = dataclasses.replace(settings, posted_environment={"SONDA_API_KEY": "sesame", "HOST": "web"})
    client = AppClient(MemoryControlPlane(), settings)
    refused = client.post_yaml(MINIMAL_YAML.replace("name: up,", "name: up, labels: {k: '${SONDA_API_KEY}'},"))
    assert refused.status_code == 400
    assert "SONDA_API_KEY" in refused.json["detail"]
    assert "sesame" not in refused.text
    accepted = client.launch(MINIMAL_YAML.replace("name: up,", "name: up, labels: {k: '${HOST}'},"))
    assert client.get(f"/scenarios/{accepted[0]}").json["config"]["labels"] == {"k": "web"}


def test_a_dry_run_tells_what_would_start_and_starts_nothing(client: AppClient) -> None:
    """The entries as planned, with the warnings of a launch; a name in use is one more."""
    body = "scenario_name: flap\n" + TWO_YAML.replace("rate: 10", "rate: 10, duration: 90s", 1)
    answer = client.post_yaml(body, "/scenarios?dry_run=true")
    assert answer.status_code == 200
    assert list(answer.json) == ["scenario_name", "scenarios", "warnings", "faults"]
    assert [row["name"] for row in answer.json["scenarios"]] == ["up", "down"]
    assert answer.json["scenarios"][0]["config"]["rate"] == 10.0
    assert (answer.json["warnings"], answer.json["faults"]) == ([], [])
    assert client.get("/scenarios").json == {"scenarios": []}
    client.launch("scenario_name: flap\n" + TWO_YAML)
    (warning,) = client.post_yaml(body, "/scenarios?dry_run=true").json["warnings"]
    assert "scenario_name 'flap' is in use by 2 active scenario(s)" in warning
    assert len(client.get("/scenarios").json["scenarios"]) == 2


def test_a_dry_run_of_a_faulty_body_is_refused_as_a_launch(client: AppClient) -> None:
    """The same status and faults; a value of the parameter that is neither true nor false launches nothing."""
    faulty = TWO_YAML.replace("name: down,", "name: down, rate: 0, jitter: -1,")
    told, refused = (client.post_yaml(faulty, f"/scenarios{query}") for query in ("?dry_run=true", ""))
    assert (told.status_code, told.json) == (refused.status_code, refused.json)
    assert [fault["path"] for fault in told.json["faults"]] == ["scenarios[1].rate", "scenarios[1].jitter"]
    assert client.post_yaml(MINIMAL_YAML, "/scenarios?dry_run=yes").status_code == 400
    assert client.get("/scenarios").json == {"scenarios": []}
    assert client.post_yaml(MINIMAL_YAML, "/scenarios?dry_run=false").status_code == 201
