"""GET /metrics: the twelve families, what is counted of requests, and the families about workers."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from common.counters import Counters
from common.lateness import Lateness
from common.states import State
from supervisor.engine.figures import Figures
from supervisor.engine.tally import Totals
from supervisor.intake.autostart import Readiness
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient, FixedClock
from tests.support.memory_plane import MemoryControlPlane

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
FAMILIES = [
    ("sonda_server_active_scenarios", "gauge"),
    ("sonda_server_scenarios_finished_total", "counter"),
    ("sonda_server_worker_threads", "gauge"),
    ("sonda_server_max_scenarios", "gauge"),
    ("sonda_server_autostart_started", "gauge"),
    ("sonda_server_autostart_expected", "gauge"),
    ("sonda_server_requests_total", "counter"),
    ("sonda_server_request_duration_seconds", "histogram"),
    ("sonda_server_sink_errors_total", "counter"),
    ("sonda_server_lock_recoveries_total", "counter"),
    ("sonda_server_uptime_seconds", "gauge"),
    ("sonda_server_build_info", "gauge"),
]
OWN_FAMILIES = [
    ("sondad_worker_processes", "gauge"),
    ("sondad_worker_exits_total", "counter"),
    ("sondad_tick_lateness_seconds", "summary"),
    ("sondad_scenario_cpu_seconds_total", "counter"),
    ("sondad_scenario_wakeups_total", "counter"),
    ("sondad_scenario_events_total", "counter"),
    ("sondad_scenario_target_events_per_second", "gauge"),
    ("sondad_scenario_tick_lateness_seconds", "summary"),
    ("sondad_wakeup_slack_seconds", "gauge"),
    ("sondad_overloaded", "gauge"),
    ("sondad_scenario_restarts_total", "counter"),
    ("sondad_scenario_moves_total", "counter"),
    ("sondad_events_total", "counter"),
    ("sondad_event_bytes_total", "counter"),
    ("sondad_event_errors_total", "counter"),
    ("sondad_cpu_seconds_total", "counter"),
    ("sondad_target_events_per_second", "gauge"),
    ("sondad_batches_total", "counter"),
    ("sondad_pool_refills_total", "counter"),
    ("sondad_deliveries_total", "counter"),
    ("sondad_sink_events_total", "counter"),
    ("sondad_board_rows", "gauge"),
    ("sondad_log_lines_dropped_total", "counter"),
    ("sondad_stdout_closed", "gauge"),
]


def families(text: str) -> list[tuple[str, str]]:
    """Name and type of each family, each with a help line before."""
    pairs = re.findall(r"^# HELP (\S+) .+\n# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert all(name == again for name, again, _ in pairs)
    assert text.count("# TYPE ") == len(pairs)
    return [(name, kind) for name, _, kind in pairs]


def samples(client: AppClient, name: str, query: str = "") -> list[str]:
    """The lines of a family, less its name."""
    text = client.get(f"/metrics{query}").text
    return [line.removeprefix(name) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]


def requests_of(client: AppClient) -> dict[tuple[str, str, str], int]:
    """What is counted: route, method and status to a number."""
    found = {}
    for line in samples(client, "sonda_server_requests_total"):
        match = re.fullmatch(r'\{route="(.+)",method="(.+)",status="(\d+)"\} (\d+)', line)
        assert match
        found[match[1], match[2], match[3]] = int(match[4])
    return found


def test_by_default_there_are_exactly_twelve_families(client: AppClient) -> None:
    """In their order, also on an empty server and whatever else is asked for."""
    for query in ("", "?own=2", "?own", "?OWN=1", "?own=1x"):
        answer = client.get(f"/metrics{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, EXPOSITION)
        assert families(answer.text) == FAMILIES


def test_our_own_families_follow_when_they_are_asked_for(client: AppClient) -> None:
    """By the literal pair, wherever it stands."""
    for query in ("?own=1", "?x=y&own=1&z"):
        assert families(client.get(f"/metrics{query}").text) == FAMILIES + OWN_FAMILIES


def test_scenarios_are_counted_by_state(client: AppClient) -> None:
    """Five states, always, zeros included; finished ones by themselves, until they are deleted."""
    rows = [scenario_id for _ in range(4) for scenario_id in client.launch()]
    client.plane.show(rows[0], Counters(state=State.HELD, state_since_ns=1))
    client.plane.show(rows[1], Counters(state=State.PAUSED, state_since_ns=1))
    client.plane.finish(rows[2])
    expected = {"pending": 0, "running": 1, "paused": 1, "held": 1, "unresolved": 0}
    assert samples(client, "sonda_server_active_scenarios") == [
        f'{{state="{state}"}} {count}' for state, count in expected.items()
    ]
    assert samples(client, "sonda_server_scenarios_finished_total") == [" 1"]
    client.request("DELETE", f"/scenarios/{rows[2]}")
    assert samples(client, "sonda_server_scenarios_finished_total") == [" 0"]


def test_sink_failures_are_summed_by_kind_of_sink(client: AppClient) -> None:
    """Over the scenarios present, kinds in order, those without a failure included."""
    memory = MINIMAL_YAML.replace("rate: 10", "rate: 10, sink: {type: memory}")
    first, second = client.launch() + client.launch()
    client.launch(memory)
    client.plane.show(first, Counters(total_sink_failures=2))
    client.plane.show(second, Counters(total_sink_failures=3))
    assert samples(client, "sonda_server_sink_errors_total") == ['{sink_type="memory"} 0', '{sink_type="stdout"} 5']


def test_limits_and_build_are_shown(settings: Settings) -> None:
    """Flags as they are in force, how long the daemon is up, what it was built from, and how far the sweep is."""
    clock = FixedClock(now_ns=5_000_000_000)
    readiness = Readiness("in_progress", 3, 7)
    client = AppClient(MemoryControlPlane(), settings, clock, readiness=lambda: readiness)
    clock.now_ns += 1_500_000_000
    text = client.get("/metrics").text
    assert f"sonda_server_worker_threads {settings.workers}\n" in text
    assert "sonda_server_max_scenarios 0\n" in text
    assert "sonda_server_autostart_started 3\n" in text
    assert "sonda_server_autostart_expected 7\n" in text
    assert "sonda_server_uptime_seconds 1.5\n" in text
    assert re.search(r'^sonda_server_build_info\{version="\d+\.\d+\.\d+",git_sha="[0-9a-z]+"\} 1$', text, re.MULTILINE)
    assert len(samples(client, "sonda_server_lock_recoveries_total")) == 6


def test_requests_are_counted_by_route_method_and_status(client: AppClient) -> None:
    """Concrete ids never show; methods nobody knows are one; a scrape does not contain itself."""
    (scenario_id,) = client.launch()
    client.get("/scenarios")
    client.request("HEAD", "/scenarios")
    client.get(f"/scenarios/{scenario_id}")
    client.get("/scenarios/nope")
    client.get(f"/scenarios/{scenario_id}/stats")
    client.get(f"/scenarios/{scenario_id}/metrics?limit=x")
    client.get(f"/scenarios/{scenario_id}/metrics")
    client.get("/scenarios/metrics")
    client.request("PATCH", "/scenarios")
    client.request("BREW", "/scenarios")
    client.request("SCALD", "/scenarios")
    client.request("POST", "/scenarios", b"x" * 1001)
    client.post_yaml("version: 1")
    expected = {
        ("/scenarios", "GET", "200"): 1,
        ("/scenarios", "HEAD", "200"): 1,
        ("/scenarios", "OTHER", "405"): 2,
        ("/scenarios", "PATCH", "405"): 1,
        ("/scenarios", "POST", "201"): 1,
        ("/scenarios", "POST", "400"): 1,
        ("/scenarios", "POST", "413"): 1,
        ("/scenarios/metrics", "GET", "200"): 1,
        ("/scenarios/{id}", "GET", "200"): 1,
        ("/scenarios/{id}", "GET", "404"): 1,
        ("/scenarios/{id}/metrics", "GET", "204"): 1,
        ("/scenarios/{id}/metrics", "GET", "400"): 1,
        ("/scenarios/{id}/stats", "GET", "200"): 1,
    }
    assert requests_of(client) == expected
    assert list(requests_of(client).items()) == sorted((expected | {("/metrics", "GET", "200"): 1}).items())


def test_probes_unknown_paths_and_clients_without_a_key_are_not_counted(locked: AppClient) -> None:
    """None of these makes a series."""
    for target in ("/health", "/ready", "/nothing", "/scenarios", "/scenarios/x/stats", "/metrics"):
        locked.get(target)
    answer = locked.get("/metrics", headers={"Authorization": "Bearer sesame"})
    assert "sonda_server_requests_total{" not in answer.text


def test_durations_are_a_cumulative_histogram(settings: Settings) -> None:
    """Bounds as they are printed, a duration equal to a bound within it; then sum and count."""

    class Slow(MemoryControlPlane):
        """Takes as long as it is told to list scenarios."""

        secs = 0.0

        def scenarios(self) -> Any:
            clock.now_ns += round(self.secs * 1e9)
            return super().scenarios()

    clock, plane = FixedClock(), Slow()
    client = AppClient(plane, settings, clock)
    for plane.secs in (0.005, 0.006, 2.5, 60.0):
        client.get("/scenarios")
    plane.secs = 0.0
    name = "sonda_server_request_duration_seconds"
    labels = 'route="/scenarios",method="GET"'
    bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    counts = [1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4]
    assert samples(client, f"{name}_bucket") == [
        f'{{{labels},le="{bound}"}} {count}' for bound, count in zip(bounds, counts, strict=True)
    ]
    assert f"{{{labels}}} 62.511" in samples(client, f"{name}_sum")
    assert f"{{{labels}}} 4" in samples(client, f"{name}_count")


def test_what_the_main_loop_knows_is_shown(settings: Settings) -> None:
    """Workers by state and ending, slack, sums of batches and deliveries, rows, the log and stdout."""
    figures = Figures(
        starting=1,
        spare=4,
        running=3,
        endings={"finished": 5, "stopped": 6, "killed": 7, "crashed": 8},
        totals=Totals(
            12,
            Counter({("tcp", "ok"): 9, ("tcp", "failed"): 2, ("file", "ok"): 1}),
            Counter({("tcp", "acknowledged"): 90, ("tcp", "in_doubt"): 3}),
            accepted_events=95,
            accepted_bytes=950,
            errors=4,
            cpu_ns=1_500_000_000,
        ),
        started_total=30,
        slack_ns=2_500_000,
        overloaded=True,
        rows_used=8,
        rows_free=8184,
        stdout_closed=True,
        log_lines_dropped=11,
    )
    client = AppClient(MemoryControlPlane(), settings, figures=lambda: figures)
    text = client.get("/metrics?own=1").text
    for line in (
        'sondad_worker_processes{state="starting"} 1',
        'sondad_worker_processes{state="spare"} 4',
        'sondad_worker_processes{state="running"} 3',
        'sondad_worker_exits_total{reason="finished"} 5',
        'sondad_worker_exits_total{reason="crashed"} 8',
        'sondad_tick_lateness_seconds{quantile="0.5"} NaN',
        "sondad_wakeup_slack_seconds 0.0025",
        "sondad_overloaded 1",
        "sondad_batches_total 12",
        "sondad_events_total 95",
        "sondad_event_bytes_total 950",
        "sondad_event_errors_total 4",
        "sondad_cpu_seconds_total 1.5",
        "sondad_target_events_per_second 0",
        "sondad_pool_refills_total 30",
        'sondad_deliveries_total{sink_type="file",result="ok"} 1',
        'sondad_deliveries_total{sink_type="tcp",result="failed"} 2',
        'sondad_sink_events_total{sink_type="tcp",outcome="acknowledged"} 90',
        'sondad_sink_events_total{sink_type="tcp",outcome="in_doubt"} 3',
        'sondad_board_rows{state="used"} 8',
        'sondad_board_rows{state="free"} 8184',
        "sondad_log_lines_dropped_total 11",
        "sondad_stdout_closed 1",
    ):
        assert f"{line}\n" in text
    assert "sondad_relay_up" not in text


def test_lateness_is_taken_over_all_scenarios(settings: Settings) -> None:
    """Two quantiles of all ticks of the last full second, in seconds."""
    client = AppClient(MemoryControlPlane(), settings, FixedClock(now_ns=10_000_000_000))
    for count, late_ns in ((90, 100_000), (10, 20_000_000)):
        (scenario_id,) = client.launch()
        Lateness(client.plane.rows[scenario_id].view).count(late_ns, count, 9_500_000_000)
    half, most = (float(line.split()[1]) for line in samples(client, "sondad_tick_lateness_seconds", "?own=1"))
    assert half == pytest.approx(100e-6, rel=0.25)
    assert most == pytest.approx(20e-3, rel=0.25)


def test_the_costliest_scenarios_are_named(settings: Settings) -> None:
    """Those that have taken the most processor time come first; fifty at most."""
    client = AppClient(MemoryControlPlane(), settings, FixedClock(now_ns=10_000_000_000))
    for number in range(60):
        (scenario_id,) = client.launch()
        client.plane.show(
            scenario_id,
            Counters(
                state=State.RUNNING if number % 2 else State.PAUSED,
                state_since_ns=1,
                cpu_ns=number * 1_000_000_000,
                wakeups=number,
                total_events=2 * number,
            ),
        )
    Lateness(client.plane.rows[scenario_id].view).count(20_000_000, 10, 9_500_000_000)
    seconds = samples(client, "sondad_scenario_cpu_seconds_total", "?own=1")
    assert len(seconds) == 50
    assert seconds[0] == f'{{id="{scenario_id}",name="up"}} 59'
    assert samples(client, "sondad_scenario_wakeups_total", "?own=1")[0].endswith(" 59")
    assert samples(client, "sondad_scenario_events_total", "?own=1")[0].endswith(" 118")
    targets = samples(client, "sondad_scenario_target_events_per_second", "?own=1")
    assert [line.split()[1] for line in targets[:2]] == ["10", "0"], "a paused one is to emit nothing"
    assert samples(client, "sondad_target_events_per_second", "?own=1") == [" 300"]
    late = samples(client, "sondad_scenario_tick_lateness_seconds", "?own=1")
    assert [float(line.split()[1]) for line in late] == [pytest.approx(0.02, rel=0.25)] * 2


def test_the_families_are_neither_drained_nor_draining(client: AppClient) -> None:
    """Scraping the daemon leaves the buffers of scenarios alone."""
    (scenario_id,) = client.launch()
    client.plane.emit(scenario_id, 0, np.arange(3), np.arange(3.0))
    client.get("/metrics?own=1")
    assert len(client.get(f"/scenarios/{scenario_id}/metrics").text.splitlines()) == 3
