"""The daemon about all of its scenarios and about itself, over real workers."""

import os
import signal

from tests.conftest import StartServer
from tests.support.exposition_reading import samples
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.processes import freeze

MIXED = """\
version: 2
defaults: {rate: 50, duration: 1s, sink: {type: memory}}
scenarios:
  - {signal_type: metrics, name: a, labels: {zone: x}, generator: {type: step, step_size: 1}}
  - {signal_type: metrics, name: b, labels: {zone: x}, generator: {type: constant, value: 0.5}}
  - {signal_type: metrics, name: a, labels: {zone: y}, generator: {type: step, step_size: 2}}
  - {signal_type: histogram, name: latency, labels: {zone: y}, distribution: {type: exponential, rate: 10}}
  - {signal_type: logs, name: words, encoder: {type: json_lines},
     log_generator: {type: template, templates: [{message: hello}]}}
"""


def constant(name: str, **fields: object) -> dict[str, object]:
    return {"signal_type": "metrics", "name": name, "generator": {"type": "constant", "value": 1}, **fields}


def own(server: LiveServer) -> dict[str, float]:
    return samples(server.get("/metrics?own=1").text)


def test_the_aggregate_has_the_newest_value_of_every_series(shared_server: LiveServer) -> None:
    """All signals but logs; the same bytes twice when nothing is emitted in between, whatever else is asked for."""
    rows = shared_server.launch(MIXED)
    a, b, other_a, latency, _ = (shared_server.wait_for_state(row["id"], "finished")["total_events"] for row in rows)
    assert b > 0
    answer = shared_server.get("/scenarios/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert (found['a{zone="x"}'], found['a{zone="y"}'], found['b{zone="x"}']) == (a - 1, 2 * other_a - 2, 0.5)
    assert found['latency_count{zone="y"}'] == found['latency_bucket{le="+Inf",zone="y"}'] == latency * 100
    assert not [series for series in found if series.startswith("words")]
    assert answer.text.count("# TYPE a counter\n") == 1
    for row in rows:
        shared_server.get(f"/scenarios/{row['id']}/metrics")
    assert shared_server.get("/scenarios/metrics").content == answer.content
    only = samples(shared_server.get("/scenarios/metrics?label=zone:y&include_state=finished").text)
    assert set(only) == {series for series in found if 'zone="y"' in series}
    assert shared_server.get("/scenarios/metrics?include_state=running").content == b""


def test_a_running_histogram_is_always_one_tick(shared_server: LiveServer) -> None:
    """Its buckets, sum and count are of the same tick, however fast ticks follow."""
    shared_server.launch(
        {
            "version": 2,
            "defaults": {"rate": 100000, "sink": {"type": "memory"}},
            "scenarios": [
                {
                    "signal_type": "histogram",
                    "name": "h",
                    "observations_per_tick": 10,
                    "distribution": {"type": "exponential", "rate": 10},
                }
            ],
        }
    )
    wait_until(lambda: "h_count" in shared_server.get("/scenarios/metrics").text, "a first tick")
    seen = set()

    def have_moved() -> bool:
        found = samples(shared_server.get("/scenarios/metrics").text)
        assert found["h_count"] == found['h_bucket{le="+Inf"}']
        buckets = [value for series, value in found.items() if series.startswith("h_bucket") and "Inf" not in series]
        assert max(buckets) <= found["h_count"]
        seen.add(found["h_count"])
        return len(seen) > 20

    wait_until(have_moved, "twenty ticks were seen", 60)


def test_more_series_than_the_buffer_holds_are_all_shown(shared_server: LiveServer) -> None:
    """Of five thousand rotating label sets each keeps its newest value, also under a label spike."""
    (row,) = shared_server.launch(
        {
            "version": 2,
            "defaults": {"rate": 20000, "sink": {"type": "memory"}},
            "scenarios": [
                {
                    "signal_type": "metrics",
                    "name": "up",
                    "generator": {"type": "step", "step_size": 1},
                    "dynamic_labels": [{"key": "pod", "prefix": "p", "cardinality": 5000}],
                    "gap_windows": [{"at": "500ms", "for": "1h"}],
                }
            ],
        }
    )
    shared_server.wait_for_events(row["id"], 10_000)
    found = samples(shared_server.get(f"/scenarios/{row['id']}/metrics?mode=snapshot").text)
    assert found == {f'up{{pod="p{tick - 5000}"}}': tick for tick in range(5000, 10_000)}


def test_endings_are_told_apart(server: LiveServer) -> None:
    """A run that is over, one that is stopped, and one whose process is killed."""
    rows = server.launch(
        {
            "version": 2,
            "defaults": {"rate": 10, "sink": {"type": "memory"}},
            "scenarios": [constant("over", duration="100ms"), constant("stopped"), constant("killed")],
        }
    )
    over, stopped, killed = (row["id"] for row in rows)
    server.wait_for_state(over, "finished")
    server.delete(f"/scenarios/{stopped}")
    os.kill(server.worker(killed).pid, signal.SIGKILL)
    server.wait_for_state(killed, "finished")

    def endings() -> dict[str, float]:
        found = own(server)
        reasons = ("finished", "stopped", "killed", "crashed")
        return {reason: found[f'sondad_worker_exits_total{{reason="{reason}"}}'] for reason in reasons}

    # A scenario says that it has finished a moment before its process leaves.
    expected = {"finished": 1.0, "stopped": 1.0, "killed": 1.0, "crashed": 0.0}
    wait_until(lambda: endings() == expected, "each has ended in its way")


def test_sums_grow_over_the_lives_of_scenarios(server: LiveServer) -> None:
    """Batches and deliveries are those of all scenarios there ever were; a DELETE takes nothing from them."""
    names = ("sondad_batches_total", 'sondad_deliveries_total{sink_type="memory",result="ok"}')
    before = dict.fromkeys(names, 0.0)
    for _ in range(3):
        (row,) = server.launch(
            {"version": 2, "defaults": {"rate": 100, "sink": {"type": "memory"}}, "scenarios": [constant("up")]}
        )
        server.wait_for_events(row["id"], 20)
        lived = own(server)
        assert all(lived[name] > before[name] for name in names), (before, lived)
        server.delete(f"/scenarios/{row['id']}")
        before = {name: own(server)[name] for name in names}
        assert all(before[name] >= lived[name] for name in names), (lived, before)


def test_workers_rows_and_lateness_are_shown(server: LiveServer) -> None:
    """Spares fill up, a scenario has a worker and a row, and its ticks are late."""
    rows = server.launch(
        {
            "version": 2,
            "defaults": {"rate": 200, "sink": {"type": "memory"}},
            "scenarios": [constant(name) for name in "abc"],
        }
    )
    found = wait_until(
        lambda: (now := own(server))['sondad_tick_lateness_seconds{quantile="0.99"}'] > 0 and now, "a second has passed"
    )
    assert isinstance(found, dict)
    assert found['sondad_worker_processes{state="running"}'] == 3
    assert found['sondad_tick_lateness_seconds{quantile="0.5"}'] > 0
    assert found['sondad_board_rows{state="used"}'] >= 3
    assert found['sondad_board_rows{state="used"}'] + found['sondad_board_rows{state="free"}'] == 16_384
    assert found["sondad_pool_refills_total"] >= 3
    # A busy machine may make ticks late for the sake of wake-ups.
    assert 0 <= found["sondad_wakeup_slack_seconds"] <= 0.25
    assert found["sondad_log_lines_dropped_total"] == 0
    assert found['sonda_server_active_scenarios{state="running"}'] == 3
    wait_until(lambda: own(server)['sondad_worker_processes{state="spare"}'] >= 4, "the pool is full")
    for row in rows:
        server.delete(f"/scenarios/{row['id']}")
    assert own(server)['sondad_worker_processes{state="running"}'] == 0


def test_failed_deliveries_and_a_closed_stdout_are_shown(start_server: StartServer) -> None:
    """A destination that refuses shows by its kind of sink; whoever closes our stdout shows as well."""
    server = start_server("--allow-path", "/dev", piped_stdout=True)
    assert own(server)["sondad_stdout_closed"] == 0
    server.stdout.close()
    server.launch(
        {
            "version": 2,
            "defaults": {"rate": 100},
            "scenarios": [constant("full", sink={"type": "file", "path": "/dev/full"}), constant("out")],
        }
    )
    wait_until(lambda: own(server)["sondad_stdout_closed"] == 1, "the closed stdout is noticed")
    failed = 'sondad_deliveries_total{sink_type="file",result="failed"}'
    wait_until(lambda: own(server)[failed] > 3, "failures are counted")
    assert own(server)['sonda_server_sink_errors_total{sink_type="file"}'] > 3


def test_requests_are_counted_as_clients_see_them(server: LiveServer) -> None:
    """Answers of every kind, by route, method and status, with their durations."""
    (row,) = server.launch({"version": 2, "defaults": {"rate": 1}, "scenarios": [constant("up")]})
    for _ in range(3):
        server.get(f"/scenarios/{row['id']}/stats")
    server.get("/scenarios/none")
    server.request("PUT", "/scenarios")
    server.get("/health")
    server.get("/nothing")
    found = samples(server.get("/metrics").text)
    name = "sonda_server_requests_total"
    assert found[f'{name}{{route="/scenarios/{{id}}/stats",method="GET",status="200"}}'] == 3
    assert found[f'{name}{{route="/scenarios",method="POST",status="201"}}'] == 1
    assert found[f'{name}{{route="/scenarios/{{id}}",method="GET",status="404"}}'] == 1
    assert found[f'{name}{{route="/scenarios",method="PUT",status="405"}}'] == 1
    assert sum(value for series, value in found.items() if series.startswith(name)) == 6
    durations = "sonda_server_request_duration_seconds"
    assert found[f'{durations}_count{{route="/scenarios/{{id}}/stats",method="GET"}}'] == 3
    assert found[f'{durations}_bucket{{route="/scenarios/{{id}}/stats",method="GET",le="+Inf"}}'] == 3
    assert found[f'{durations}_sum{{route="/scenarios/{{id}}/stats",method="GET"}}'] > 0


def test_a_request_that_takes_too_long_is_counted(start_server: StartServer) -> None:
    """As 408, like a body that is too long as 413."""
    server = start_server("--request-timeout", "1", "--max-body-bytes", "1000")
    (row,) = server.launch(
        {"version": 2, "defaults": {"rate": 1, "sink": {"type": "memory"}}, "scenarios": [constant("up")]}
    )
    freeze(server.worker(row["id"]).pid)
    assert server.delete(f"/scenarios/{row['id']}").status_code == 408
    assert server.post("x" * 1000).status_code == 413
    found = samples(server.get("/metrics").text)
    name = "sonda_server_requests_total"
    assert found[f'{name}{{route="/scenarios/{{id}}",method="DELETE",status="408"}}'] == 1
    assert found[f'{name}{{route="/scenarios",method="POST",status="413"}}'] == 1
