"""GET /scenarios/{id}/metrics: draining, limits, HEAD and the snapshot."""

import threading

import numpy as np
import pytest

from tests.support.http_app import MINIMAL_YAML, AppClient

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
SECOND_MS = 1_700_000_000_000
LABELLED_YAML = MINIMAL_YAML.replace(
    "name: up,",
    "name: up, labels: {zone: 'a\"b', app: x}, dynamic_labels: [{key: host, prefix: h-, cardinality: 2}],",
)


def emit(client: AppClient, scenario_id: str, first_tick: int, values: list[float]) -> None:
    """Put one sample a tick into the buffer, stamped tick milliseconds after a round instant."""
    stamps_ns = (SECOND_MS + np.arange(first_tick, first_tick + len(values))) * 1_000_000 + 999_999
    client.plane.emit(scenario_id, first_tick, stamps_ns, np.array(values, float))


def lines(first_tick: int, values: list[str]) -> str:
    return "".join(f"up {value} {SECOND_MS + first_tick + place}\n" for place, value in enumerate(values))


def test_each_sample_is_given_once_oldest_first(client: AppClient) -> None:
    """A scrape empties the buffer; without new samples the next one is 204 without body and type."""
    (scenario_id,) = client.launch()
    target = f"/scenarios/{scenario_id}/metrics"
    assert client.get(target).status_code == 204
    emit(client, scenario_id, 0, [1.0, 0.1, -12.5])
    answer = client.get(target)
    assert (answer.status_code, answer.headers["content-type"]) == (200, EXPOSITION)
    assert answer.text == lines(0, ["1", "0.1", "-12.5"])
    empty = client.get(target)
    assert (empty.status_code, empty.content, empty.headers.get("content-type")) == (204, b"", None)
    emit(client, scenario_id, 3, [7.0])
    assert client.get(target).text == lines(3, ["7"])


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 100),
        ("?limit=5", 5),
        ("?limit=0", 0),
        ("?limit=00007", 7),
        ("?limit=1000", 1000),
        ("?limit=1001", 1000),
        ("?limit=18446744073709551615", 1000),
        ("?mode=drain", 100),
        ("?lim%69t=3", 3),
    ],
)
def test_the_newest_samples_up_to_the_limit_are_shown_and_all_are_taken(
    client: AppClient, query: str, shown: int
) -> None:
    """The default is 100, more than 1000 means 1000, and 0 empties the buffer with an empty 200."""
    (scenario_id,) = client.launch()
    target = f"/scenarios/{scenario_id}/metrics"
    emit(client, scenario_id, 0, [float(value) for value in range(1200)])
    answer = client.get(target + query)
    assert answer.status_code == 200
    assert answer.text == lines(1200 - shown, [str(value) for value in range(1200 - shown, 1200)])
    assert client.get(target + query).status_code == 204


@pytest.mark.parametrize(
    "limit", ["abc", "-1", "1.5", "", "%2B1", " 1", "1e2", "18446744073709551616", "9" * 5000, "%D9%A1"]
)
def test_a_bad_limit_is_400_and_takes_nothing(client: AppClient, limit: str) -> None:
    """The detail names the parameter, and the samples stay for the next scrape; it is checked before the id."""
    (scenario_id,) = client.launch()
    emit(client, scenario_id, 0, [1.0])
    for target in (f"/scenarios/{scenario_id}/metrics", "/scenarios/nope/metrics"):
        answer = client.get(f"{target}?limit={limit}")
        assert (answer.status_code, answer.json["error"]) == (400, "bad_request")
        assert "limit" in answer.json["detail"]
    assert client.get(f"/scenarios/{scenario_id}/metrics").status_code == 200


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit", "mode=other", "mode=", "mode=drain&mode=drain"])
def test_a_parameter_without_one_usable_value_is_400(client: AppClient, query: str) -> None:
    """Repeated and empty parameters are refused, and so is a mode nobody knows."""
    (scenario_id,) = client.launch()
    assert client.get(f"/scenarios/{scenario_id}/metrics?{query}").status_code == 400


def test_labels_are_sorted_and_escaped(client: AppClient) -> None:
    """Rotating labels follow the tick."""
    (scenario_id,) = client.launch(LABELLED_YAML)
    emit(client, scenario_id, 4, [1.0, 2.0])
    assert client.get(f"/scenarios/{scenario_id}/metrics").text == (
        f'up{{app="x",host="h-0",zone="a\\"b"}} 1 {SECOND_MS + 4}\n'
        f'up{{app="x",host="h-1",zone="a\\"b"}} 2 {SECOND_MS + 5}\n'
    )


def test_head_leaves_the_buffer_alone(client: AppClient) -> None:
    """Same status, type and length as GET, before and after samples came."""
    (scenario_id,) = client.launch()
    target = f"/scenarios/{scenario_id}/metrics"
    assert client.request("HEAD", target).status_code == 204
    emit(client, scenario_id, 0, [1.0, 2.0])
    head = [client.request("HEAD", target) for _ in range(2)][1]
    got = client.get(target)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == EXPOSITION
    assert head.headers["content-length"] == str(len(got.content))
    assert len(got.text.splitlines()) == 2
    assert client.request("HEAD", target).status_code == 204


def test_what_is_left_can_be_drained_after_the_end(client: AppClient) -> None:
    """A finished scenario keeps its last samples until DELETE."""
    (scenario_id,) = client.launch()
    emit(client, scenario_id, 0, [1.0])
    client.plane.finish(scenario_id)
    assert client.get(f"/scenarios/{scenario_id}/metrics").text == lines(0, ["1"])


def test_scenarios_have_buffers_of_their_own(client: AppClient) -> None:
    """Draining one leaves the others."""
    first, second = client.launch() + client.launch()
    emit(client, first, 0, [1.0])
    emit(client, second, 0, [2.0])
    assert client.get(f"/scenarios/{first}/metrics").text == lines(0, ["1"])
    assert client.get(f"/scenarios/{second}/metrics").text == lines(0, ["2"])


def test_parallel_scrapes_never_get_the_same_sample(client: AppClient) -> None:
    """Every sample is in exactly one answer."""
    (scenario_id,) = client.launch()
    seen: list[str] = []

    def scrape() -> None:
        for _ in range(100):
            seen.extend(client.get(f"/scenarios/{scenario_id}/metrics?limit=1000").text.splitlines())

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in threads:
        thread.start()
    for tick in range(500):
        emit(client, scenario_id, tick, [float(tick)])
    for thread in threads:
        thread.join()
    seen.extend(client.get(f"/scenarios/{scenario_id}/metrics?limit=1000").text.splitlines())
    assert sorted(seen) == sorted(lines(0, [str(tick) for tick in range(500)]).splitlines())


def test_the_snapshot_shows_the_latest_value_of_each_series_and_takes_nothing(client: AppClient) -> None:
    """Type line, series sorted by labels, no timestamps; it does not depend on what was drained, nor on `limit`."""
    (scenario_id,) = client.launch(LABELLED_YAML)
    target = f"/scenarios/{scenario_id}/metrics"
    empty = client.get(f"{target}?mode=snapshot")
    assert (empty.status_code, empty.content) == (200, b"")
    emit(client, scenario_id, 1, [1.0, 2.0, 3.5])
    expected = "# HELP up Emitted by sondad.\n# TYPE up gauge\n"
    expected += 'up{app="x",host="h-0",zone="a\\"b"} 2\nup{app="x",host="h-1",zone="a\\"b"} 3.5\n'
    for _ in range(2):
        shown = client.get(f"{target}?mode=snapshot&limit=abc")
        assert (shown.status_code, shown.text, shown.headers["content-type"]) == (200, expected, EXPOSITION)
    assert len(client.get(target).text.splitlines()) == 3
    assert client.get(f"{target}?mode=snapshot").text == expected
    assert client.request("HEAD", f"{target}?mode=snapshot").headers["content-length"] == str(len(expected))


def test_the_snapshot_keeps_series_that_the_buffer_has_lost(client: AppClient) -> None:
    """More series than the buffer has places are all there."""
    (scenario_id,) = client.launch(
        MINIMAL_YAML.replace("name: up,", "name: up, dynamic_labels: [{key: pod, prefix: p, cardinality: 3000}],")
    )
    for first_tick in range(0, 6000, 1000):
        emit(client, scenario_id, first_tick, [float(first_tick)] * 1000)
    lines = client.get(f"/scenarios/{scenario_id}/metrics?mode=snapshot").text.splitlines()
    assert len(lines) == 3002
    assert 'up{pod="p0"} 3000' in lines
    assert 'up{pod="p2999"} 5000' in lines


def test_the_snapshot_tells_a_counter_from_a_gauge(client: AppClient) -> None:
    """`step` counts."""
    (scenario_id,) = client.launch(MINIMAL_YAML.replace("{type: constant, value: 1.0}", "{type: step, step_size: 1}"))
    emit(client, scenario_id, 0, [5.0])
    assert client.get(f"/scenarios/{scenario_id}/metrics?mode=snapshot").text == (
        "# HELP up Emitted by sondad.\n# TYPE up counter\nup 5\n"
    )
