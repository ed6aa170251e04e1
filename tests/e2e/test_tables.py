"""What pages and dashboards read of a daemon that runs scenarios: one call for a table, values before a start."""

import re
from collections.abc import Iterator

import pytest

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

MIXED = """\
version: 2
defaults: {rate: 50, duration: 1h, sink: {type: memory}}
scenarios:
  - {id: alone, signal_type: metrics, name: alone, generator: {type: uniform, min: 0, max: 9, seed: 4}}
  - {id: shared, signal_type: metrics, name: shared, isolation: shared, generator: {type: step, step_size: 1}}
  - id: gated
    signal_type: metrics
    name: gated
    generator: {type: constant, value: 1}
    while: {ref: shared, op: ">", value: 1000000}
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A daemon whose answers a page of `https://boards.test` may read."""
    server = LiveServer(tmp_path_factory.mktemp("watched"), "--allow-origin", "https://boards.test")
    yield server
    assert server.stop() == 0
    server.assert_nothing_left()
    server.close()


def refills(server: LiveServer) -> int:
    """How many workers were started for the pool."""
    (count,) = re.findall(r"^sondad_pool_refills_total (\d+)$", server.get("/metrics?own=1").text, re.MULTILINE)
    return int(count)


def test_a_preview_has_the_values_of_the_run(shared_server: LiveServer) -> None:
    """A worker computes them, nothing runs, and then the run has the same; the worker is a spare again."""
    answer = shared_server.post_yaml(MIXED, "/scenarios?dry_run=true&preview_secs=10")
    assert answer.status_code == 200
    preview = answer.json()["preview"]
    assert (preview["omitted"], preview["error"]) == (0, None)
    assert shared_server.get("/scenarios").json() == {"scenarios": []}
    started = refills(shared_server)
    for _ in range(20):
        assert shared_server.post_yaml(MIXED, "/scenarios?dry_run=true").json()["preview"]["error"] is None
    assert refills(shared_server) - started < 10, "the same spares were asked again"

    alone, shared, _ = shared_server.launch(MIXED)
    for scenario, curve in zip((alone, shared), preview["entries"], strict=False):
        shared_server.wait_for_events(scenario["id"], 105)
        lines = shared_server.get(f"/scenarios/{scenario['id']}/metrics?mode=recent&limit=1000").text.splitlines()
        values = [line.rsplit(" ", 2)[1] for line in lines]
        assert [line.split()[1] for line in curve["lines"]] == values[:3]
        for secs, value in zip(curve["secs"], curve["values"], strict=True):
            if secs <= 2.0:
                assert float(values[round(secs * 50)]) == value


def test_examples_can_be_looked_at_before_they_start(shared_server: LiveServer) -> None:
    """Every one has a curve for each entry; those that need a flag say which."""
    refused = {}
    for example in shared_server.get("/examples").json()["examples"]:
        answer = shared_server.post_yaml(example["text"], "/scenarios?dry_run=true")
        if answer.status_code != 200:
            refused[example["name"]] = answer.json()["detail"]
            continue
        preview = answer.json()["preview"]
        assert (preview["error"], preview["omitted"]) == (None, 0), example["name"]
        assert all(curve["secs"] for curve in preview["entries"]), example["name"]
    flags = {name: re.findall(r"--[a-z-]+", detail)[0] for name, detail in refused.items()}
    # The recordings of a checkout in the directory for temporary files may be read.
    replays = dict.fromkeys({"generators/csv-replay", "generators/log-csv-replay"} & set(flags), "--allow-path")
    assert flags == {"packs": "--catalog", **replays}


def test_a_table_and_the_daemon_above_it(shared_server: LiveServer) -> None:
    """Who shares a process, whose gate is closed, and sums that are those of the rows."""
    before = shared_server.get("/daemon").json()
    ids = [row["id"] for row in shared_server.launch(MIXED)]
    for scenario_id in ids[:2]:
        shared_server.wait_for_events(scenario_id, 60)
    rows = shared_server.get("/scenarios?stats=1").json()["scenarios"]
    daemon = shared_server.get("/daemon").json()
    assert [row["id"] for row in rows] == ids
    assert {row["body_id"] for row in rows} == {ids[0]}
    assert [row["isolation"] for row in rows] == ["process", "shared", "process"]
    assert [row["state"] for row in rows] == ["running", "running", "paused"]
    assert rows[2]["links"] == [
        {"kind": "while", "scenario_name": None, "ref": "shared", "op": ">", "value": 1000000.0}
    ]
    assert (daemon["scenarios"]["running"], daemon["scenarios"]["paused"]) == (2, 1)
    assert daemon["workers"]["running"] == 3
    added = daemon["events_total"] - before["events_total"]
    assert added >= sum(row["stats"]["total_events"] for row in rows[:2])
    assert daemon["bytes_total"] > before["bytes_total"]
    assert daemon["cores_in_use"] > 0
    wait_until(lambda: shared_server.get("/daemon").json()["memory_bytes"] > 20_000_000, "workers were measured", 30)


def test_who_looks_takes_nothing_from_a_scraper(shared_server: LiveServer) -> None:
    """`mode=recent` shows samples that were drained, and leaves those that were not."""
    body = {"version": 2, "scenarios": [{"signal_type": "metrics", "name": "up", "rate": 50}]}
    body["scenarios"][0] |= {"generator": {"type": "step", "step_size": 1}, "sink": {"type": "memory"}}  # type: ignore[index,operator]
    body["scenarios"][0] |= {"gap_windows": [{"at": "400ms", "for": "1h"}]}  # type: ignore[index,operator]
    (scenario,) = shared_server.launch(body)
    shared_server.wait_for_events(scenario["id"], 20)
    path = f"/scenarios/{scenario['id']}/metrics"
    looked = shared_server.get(f"{path}?mode=recent").text
    assert len(looked.splitlines()) == 20
    assert shared_server.get(path).text == looked
    assert shared_server.get(path).status_code == 204
    assert shared_server.get(f"{path}?mode=recent").text == looked
    assert shared_server.get(f"{path}?mode=recent&limit=1").text == looked.splitlines(keepends=True)[-1]


@pytest.mark.parametrize("path", ["/scenarios?stats=1", "/daemon", "/examples", "/packs", "/catalog", "/sd/prometheus"])
def test_pages_of_allowed_origins_read_the_tables(watched: LiveServer, path: str) -> None:
    """Answer and preflight say so; a page of another origin is refused."""
    ours, other = {"Origin": "https://boards.test"}, {"Origin": "https://other.test"}
    answer = watched.get(path, headers=ours)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://boards.test")
    asked = watched.request("OPTIONS", path, headers={**ours, "Access-Control-Request-Method": "GET"})
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, "https://boards.test")
    assert watched.get(path, headers=other).status_code == 403
    assert watched.request("HEAD", path).status_code == 200
    assert watched.post({}, path.replace("scenarios", "daemon")).status_code == 405
