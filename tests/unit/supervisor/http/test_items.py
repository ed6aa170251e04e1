"""The list, the detail, the stats and DELETE of scenarios."""

import logging

import pytest

from common.counters import Counters
from common.states import State
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient, FixedClock
from tests.support.memory_plane import MemoryControlPlane


def test_no_scenarios_are_an_empty_list(client: AppClient) -> None:
    """Exactly this body."""
    assert client.get("/scenarios").content == b'{"scenarios":[]}'


def test_the_list_is_in_launch_order_with_elapsed_times(settings: Settings) -> None:
    """Floats are not rounded, and finished scenarios stay until deleted."""
    clock = FixedClock()
    client = AppClient(MemoryControlPlane(), settings, clock)
    ids = [client.launch(MINIMAL_YAML.replace("name: up", f"name: n{place}"))[0] for place in range(20)]
    client.plane.finish(ids[3])
    clock.now_ns = 1_250_000_001
    rows = client.get("/scenarios").json["scenarios"]
    assert [row["id"] for row in rows] == ids
    assert [row["name"] for row in rows] == [f"n{place}" for place in range(20)]
    assert [row["state"] for row in rows].count("finished") == 1
    assert rows[0] == {"id": ids[0], "name": "n0", "state": "running", "elapsed_secs": 1.250000001, "degraded": False}


def test_the_detail_shows_the_configuration_after_defaults(client: AppClient) -> None:
    """What defaults gave stands in the entry; numbers that are floats are spelled so."""
    (scenario_id,) = client.launch()
    answer = client.get(f"/scenarios/{scenario_id}")
    assert answer.json["config"]["generator"] == {"type": "constant", "value": 1.0}
    assert '"rate":10.0' in answer.text
    assert answer.json["config"]["sink"] == {"type": "stdout"}
    assert answer.json["config"]["duration"] is None


def test_stats_follow_the_worker(client: AppClient) -> None:
    """What the worker shows is what the next request gets."""
    (scenario_id,) = client.launch()
    for total in (1, 2):
        client.plane.show(scenario_id, Counters(state=State.RUNNING, total_events=total))
        assert client.get(f"/scenarios/{scenario_id}/stats").json["total_events"] == total


@pytest.mark.parametrize("status", ["stopped", "force_stopped"])
def test_delete_tells_the_final_count_and_removes(
    client: AppClient, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    """Exactly three keys; the second DELETE is 404, and so is everything else about the id."""
    (scenario_id,) = client.launch()
    client.plane.stop_status = status  # type: ignore[assignment]
    client.plane.show(scenario_id, Counters(state=State.RUNNING, total_events=137))
    with caplog.at_level(logging.INFO):
        answer = client.request("DELETE", f"/scenarios/{scenario_id}")
    assert answer.status_code == 200
    assert answer.text == f'{{"id":"{scenario_id}","status":"{status}","total_events":137}}'
    (record,) = [record for record in caplog.records if record.getMessage() == "scenario deleted"]
    assert vars(record)["fields"] == {"id": scenario_id, "status": status, "total_events": 137}
    assert client.request("DELETE", f"/scenarios/{scenario_id}").status_code == 404
    for suffix in ("", "/stats", "/metrics"):
        assert client.get(f"/scenarios/{scenario_id}{suffix}").status_code == 404
    assert client.get("/scenarios").json == {"scenarios": []}


def test_delete_tells_all_final_counters_when_asked(client: AppClient) -> None:
    """As the stats would have; another word than true or false is refused before anything is stopped."""
    (scenario_id,) = client.launch()
    client.plane.show(scenario_id, Counters(state=State.FINISHED, total_events=137, bytes_emitted=4321))
    assert client.request("DELETE", f"/scenarios/{scenario_id}?stats=all").status_code == 400
    before = client.get(f"/scenarios/{scenario_id}/stats").json
    answer = client.request("DELETE", f"/scenarios/{scenario_id}?stats=true").json
    assert answer["stats"] == before
    assert (before["total_events"], before["bytes_emitted"]) == (137, 4321)


def test_a_body_on_get_and_delete_is_ignored(client: AppClient) -> None:
    """Whatever it holds."""
    (scenario_id,) = client.launch()
    assert client.request("GET", "/scenarios", b"{").status_code == 200
    assert client.request("DELETE", f"/scenarios/{scenario_id}", b"{").status_code == 200
