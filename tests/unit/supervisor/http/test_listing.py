"""GET /scenarios?stats=1: all that a table of scenarios shows, in one answer."""

import json

import pytest

from common.counters import Counters
from common.states import State
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient, FixedClock
from tests.support.memory_plane import MemoryControlPlane

LINKED = """\
version: 2
scenario_name: cascade
defaults: {rate: 5, duration: 2m}
scenarios:
  - id: disk
    signal_type: metrics
    name: disk
    generator: {type: sawtooth, min: 0, max: 100, period_secs: 60}
    sink: {type: http_push, url: "http://me:secret@sink:9/in?token=hidden"}
  - id: errors
    signal_type: metrics
    name: errors
    generator: {type: constant, value: 1}
    after: {ref: disk, op: ">", value: 50}
    while: {ref: disk, op: ">", value: 20}
    sink: {type: file, path: /tmp/errors}
"""


def test_without_stats_the_list_is_what_it_was(client: AppClient) -> None:
    """Five keys a row, whatever the parameter says in the negative."""
    client.launch()
    for query in ("", "?stats=0", "?stats=false", "?other=1"):
        (row,) = client.get(f"/scenarios{query}").json["scenarios"]
        assert list(row) == ["id", "name", "state", "elapsed_secs", "degraded"]


@pytest.mark.parametrize("query", ["stats=yes", "stats=", "stats=1&stats=0", "stats=2"])
def test_a_flag_that_is_neither_is_refused(client: AppClient, query: str) -> None:
    """In words that name it."""
    answer = client.get(f"/scenarios?{query}")
    assert (answer.status_code, answer.json) == (
        400,
        {"error": "bad_request", "detail": "stats: expected true or false"},
    )


def test_a_row_has_the_stats_and_what_stands_beside_them(settings: Settings) -> None:
    """The stats are those of the scenario's own page, byte for byte; secrets are masked; links name their ends."""
    client = AppClient(MemoryControlPlane(), settings, FixedClock(now_ns=5_000_000_000, since_epoch_ns=10**18))
    ids = client.launch(LINKED)
    shown = Counters(
        state=State.RUNNING,
        state_since_ns=1,
        total_events=7,
        bytes_emitted=90,
        total_sink_failures=1,
        current_rate=4.5,
        last_sink_error="refused",
    )
    client.plane.show(ids[0], shown)
    answer = client.get("/scenarios?stats=1")
    disk, errors = answer.json["scenarios"]
    for row in (disk, errors):
        own = client.get(f"/scenarios/{row['id']}/stats")
        assert json.dumps(row["stats"]) == json.dumps(own.json)
        assert (row["state"], row["degraded"]) == (own.json["state"], own.json["degraded"])
    assert {key: value for key, value in disk.items() if key != "stats"} == {
        "id": ids[0],
        "name": "disk",
        "state": "running",
        "elapsed_secs": 5.0,
        "degraded": True,
        "body_id": ids[0],
        "scenario_name": "cascade",
        "entry_id": "disk",
        "signal_type": "metrics",
        "sink": {"type": "http_push", "addresses": ["http://***@sink:9/in?token=***"]},
        "isolation": "process",
        "duration_secs": 120.0,
        "phase_offset_secs": 0.0,
        "links": [],
        "segment": None,
        "exit_reason": None,
    }
    assert errors["body_id"] == ids[0]
    assert errors["sink"] == {"type": "file", "addresses": ["/tmp/errors"]}
    assert errors["phase_offset_secs"] == pytest.approx(30.0, abs=0.5)
    assert errors["links"] == [
        {"kind": "after", "scenario_name": None, "ref": "disk", "op": ">", "value": 50.0},
        {"kind": "while", "scenario_name": None, "ref": "disk", "op": ">", "value": 20.0},
    ]


def test_a_finished_row_says_why(client: AppClient) -> None:
    """The reason stands in the row; a body that runs until it is stopped has no duration."""
    (scenario_id,) = client.launch(MINIMAL_YAML)
    client.plane.finish(scenario_id, "killed by SIGKILL")
    (row,) = client.get("/scenarios?stats=true").json["scenarios"]
    assert (row["state"], row["exit_reason"], row["duration_secs"]) == ("finished", "killed by SIGKILL", None)
    assert row["stats"]["state"] == "finished"
