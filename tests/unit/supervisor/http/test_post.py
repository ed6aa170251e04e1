"""POST /scenarios: decoding, the order of its checks, its answers and its log lines."""

import dataclasses
import json
import logging
import re

import pytest

from supervisor.engine.control_plane import CallTimeoutError, EventError, LaunchError
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
def test_what_is_no_version_two_body_gets_the_hint(shared_client: AppClient, body: str) -> None:
    """The migration hint, word for word."""
    answer = shared_client.post_yaml(body)
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
def test_a_body_that_does_not_compile_is_400_and_nothing_is_launched(
    shared_client: AppClient, body: str, named: str
) -> None:
    """The detail names the offender."""
    answer = shared_client.post_yaml(body)
    assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
    assert named in answer.json["detail"]
    assert shared_client.get("/scenarios").json == {"scenarios": []}


def test_a_value_that_cannot_run_is_422_naming_the_entry(shared_client: AppClient) -> None:
    """One bad entry refuses the whole body."""
    answer = shared_client.post_yaml(TWO_YAML.replace("name: down,", "name: down, rate: 0,"))
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
    assert shared_client.get("/scenarios").json == {"scenarios": []}


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
    assert list(answer.json) == ["scenario_name", "scenarios", "warnings", "faults", "preview"]
    assert [row["name"] for row in answer.json["scenarios"]] == ["up", "down"]
    assert answer.json["scenarios"][0]["config"]["rate"] == 10.0
    assert (answer.json["warnings"], answer.json["faults"]) == ([], [])
    assert client.get("/scenarios").json == {"scenarios": []}
    client.launch("scenario_name: flap\n" + TWO_YAML)
    (warning,) = client.post_yaml(body, "/scenarios?dry_run=true").json["warnings"]
    assert "scenario_name 'flap' is in use by 2 active scenario(s)" in warning
    assert len(client.get("/scenarios").json["scenarios"]) == 2


def test_a_dry_run_foresees_the_values(settings: Settings) -> None:
    """Of the first twenty entries, as many seconds as are asked for; none are computed for nought."""
    client = AppClient(MemoryControlPlane(), dataclasses.replace(settings, max_body_bytes=10_000))
    step = "  - {signal_type: metrics, name: m%d, generator: {type: step, step_size: 3}}\n"
    body = MINIMAL_YAML.replace("rate: 10", "rate: 1") + "".join(step % place for place in range(23))
    preview = client.post_yaml(body, "/scenarios?dry_run=1&preview_secs=12").json["preview"]
    assert (preview["secs"], preview["omitted"], preview["error"]) == (12.0, 4, None)
    assert [curve["scenario"] for curve in preview["entries"]] == list(range(20))
    up, first = preview["entries"][:2]
    assert (up["kind"], up["secs"]) == ("value", [float(second) for second in range(13)])
    assert first["values"] == [3.0 * second for second in range(13)]
    assert [line.split()[0] for line in first["lines"]] == ["m0"] * 3
    assert client.post_yaml(body, "/scenarios?dry_run=true").json["preview"]["secs"] == 300.0
    assert client.post_yaml(body, "/scenarios?dry_run=true&preview_secs=0").json["preview"] is None
    assert client.get("/scenarios").json == {"scenarios": []}


@pytest.mark.parametrize("value", ["86401", "-1", "1.5", "", "x", "1&preview_secs=2"])
def test_a_preview_of_no_length_is_refused(client: AppClient, value: str) -> None:
    """In words; without a dry run the parameter means nothing."""
    answer = client.post_yaml(MINIMAL_YAML, f"/scenarios?dry_run=true&preview_secs={value}")
    assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
    assert "query parameter preview_secs: expected one decimal integer from 0 to 86400" in answer.json["detail"]
    assert client.post_yaml(MINIMAL_YAML, f"/scenarios?preview_secs={value}").status_code == 201


@pytest.mark.parametrize("error", [EventError("no worker", "runtime"), CallTimeoutError("too late")])
def test_a_dry_run_without_values_says_why(client: AppClient, error: Exception) -> None:
    """The rest of the answer is there all the same."""
    client.plane.event_error = error
    answer = client.post_yaml(MINIMAL_YAML, "/scenarios?dry_run=true")
    assert answer.status_code == 200
    assert answer.json["preview"] == {"secs": 300.0, "entries": [], "omitted": 1, "error": str(error)}


def test_a_dry_run_of_a_faulty_body_is_refused_as_a_launch(client: AppClient) -> None:
    """The same status and faults; a value of the parameter that is neither true nor false launches nothing."""
    faulty = TWO_YAML.replace("name: down,", "name: down, rate: 0, jitter: -1,")
    told, refused = (client.post_yaml(faulty, f"/scenarios{query}") for query in ("?dry_run=true", ""))
    assert (told.status_code, told.json) == (refused.status_code, refused.json)
    assert [fault["path"] for fault in told.json["faults"]] == ["scenarios[1].rate", "scenarios[1].jitter"]
    assert client.post_yaml(MINIMAL_YAML, "/scenarios?dry_run=yes").status_code == 400
    assert client.get("/scenarios").json == {"scenarios": []}
    assert client.post_yaml(MINIMAL_YAML, "/scenarios?dry_run=false").status_code == 201


ROTATING_YAML = """\
version: 2
scenarios:
  - signal_type: metrics
    name: up
    rate: 10
    generator: {type: constant, value: 1.0}
    dynamic_labels: [{key: host, prefix: h, cardinality: 10}]
"""


def test_a_segment_is_answered_with_what_it_has(client: AppClient) -> None:
    """As a list, whatever it has; `dry_run` tells the same; its scenarios say which one they belong to."""
    answer = client.post_yaml(ROTATING_YAML, "/scenarios?segment=2/3").json
    assert list(answer) == ["scenarios", "segment"]
    assert re.fullmatch("[0-9a-f]{32}", answer["segment"]["fingerprint"])
    assert answer["segment"] == {
        "fingerprint": answer["segment"]["fingerprint"],
        "index": 2,
        "count": 3,
        "version": 1,
        "series": 3,
        "total_series": 10,
        "rate": 3.0,
        "total_rate": 10.0,
    }
    scenario_id = answer["scenarios"][0]["id"]
    assert answer["scenarios"][0]["place"] == 0
    assert client.get(f"/scenarios/{scenario_id}").json["segment"] == "2/3"
    assert client.get(f"/scenarios/{scenario_id}/stats").json["target_rate"] == 3.0
    told = client.post_yaml(ROTATING_YAML, "/scenarios?dry_run=true&segment=2/3").json
    assert told["segment"] == answer["segment"]
    assert told["scenarios"][0]["rate"] == 3.0


def test_a_segment_may_be_empty(client: AppClient) -> None:
    """There are more segments than series: nothing is started, and that is no error."""
    empty = [
        answer
        for index in range(1, 4)
        if not (answer := client.post_yaml(MINIMAL_YAML, f"/scenarios?segment={index}/3").json)["scenarios"]
    ]
    assert [(answer["segment"]["series"], answer["segment"]["total_series"]) for answer in empty] == [(0, 1), (0, 1)]
    assert len(client.get("/scenarios").json["scenarios"]) == 1


@pytest.mark.parametrize("segment", ["0/7", "8/7", "2", "a/b", "1/0", "1/65537", ""])
def test_what_is_no_segment_is_refused(shared_client: AppClient, segment: str) -> None:
    """With what is expected; nothing is started."""
    answer = shared_client.post_yaml(MINIMAL_YAML, f"/scenarios?segment={segment}")
    assert answer.status_code == 400
    assert answer.json["detail"].startswith("segment: expected I/N with 1 <= I <= N <= 65536")
    assert shared_client.get("/scenarios").json["scenarios"] == []


@pytest.mark.parametrize(
    ("start_at", "reason"),
    [
        ("99.5", "99.5 lies 2.5 s in the past, at most 1 s is accepted"),
        ("1970-01-03T00:00:00Z", "1970-01-03T00:00:00Z lies 48.0 h ahead, at most 24 h are accepted"),
        ("soon", '"soon" is neither an RFC 3339 timestamp nor a number of seconds since the epoch'),
    ],
)
def test_what_is_no_start_is_refused(settings: Settings, start_at: str, reason: str) -> None:
    """With its reason; nothing is started."""
    client = AppClient(MemoryControlPlane(), settings, FixedClock(since_epoch_ns=102 * 10**9))
    answer = client.post_yaml(MINIMAL_YAML, f"/scenarios?start_at={start_at}")
    assert answer.status_code == 400
    assert answer.json["detail"].startswith(f"start_at: {reason}")
    assert client.get("/scenarios").json["scenarios"] == []


def test_a_start_that_was_asked_for_is_shown(settings: Settings) -> None:
    """RFC 3339 in UTC, whichever form it came in."""
    client = AppClient(MemoryControlPlane(), settings, FixedClock(since_epoch_ns=102 * 10**9))
    answer = client.post_yaml(MINIMAL_YAML, "/scenarios?start_at=110.25").json
    assert client.get(f"/scenarios/{answer['id']}").json["start_at"] == "1970-01-01T00:01:50.250Z"
