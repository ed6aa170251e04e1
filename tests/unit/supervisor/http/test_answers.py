"""JSON bodies: which keys, in which order, and how numbers are spelled."""

import msgspec
import pytest

from common.counters import Counters
from common.lateness import Lateness
from common.plan import EntryPlan, Plan, PlannedEntry
from common.specs import Constant, PrometheusText, Stdout
from common.states import State
from supervisor.engine.control_plane import Scenario
from supervisor.http.answers import detail, launch_answer, listed, stats
from tests.support.memory_plane import MemoryControlPlane

SECOND = 1_000_000_000
LAUNCHED_NS = 5 * SECOND
NOW_NS = LAUNCHED_NS + 10 * SECOND
WALL_NS = 1_700_000_000 * SECOND


def entry(name: str = "up") -> PlannedEntry:
    plan = EntryPlan(
        id=None,
        name=name,
        rate=10.0,
        duration_ns=None,
        generator=Constant(value=1.0),
        labels={},
        encoder=PrometheusText(),
        sink=Stdout(),
    )
    return PlannedEntry(plan=plan, config={"signal_type": "metrics", "name": name, "rate": 10.0, "labels": {}})


def launch(*names: str) -> tuple[MemoryControlPlane, list[Scenario]]:
    plane = MemoryControlPlane(launched_ns=LAUNCHED_NS)
    return plane, plane.launch(Plan(scenario_name=None, entries=tuple(entry(name) for name in names)), 30)


def test_one_scenario_is_answered_flat_and_several_as_a_list() -> None:
    """The shape depends on the number of scenarios alone."""
    _, (one,) = launch("up")
    assert msgspec.json.encode(launch_answer([one], [])) == (
        b'{"id":"%s","name":"up","state":"running"}' % one.id.encode()
    )
    _, two = launch("a", "b")
    assert msgspec.to_builtins(launch_answer(two, [])) == {
        "scenarios": [{"id": row.id, "name": row.entry.plan.name, "state": "running"} for row in two]
    }


def test_warnings_stand_at_the_top_and_only_when_there_are_any() -> None:
    """Both shapes take the warnings at their top level."""
    _, two = launch("a", "b")
    assert list(msgspec.to_builtins(launch_answer(two[:1], ["careful"]))) == ["id", "name", "state", "warnings"]
    both = msgspec.to_builtins(launch_answer(two, ["careful"]))
    assert both["warnings"] == ["careful"]
    assert all("warnings" not in row for row in both["scenarios"])


def test_stats_have_their_keys_in_order_and_floats_stay_floats() -> None:
    """A whole float keeps its fraction, what is not known yet is null."""
    _, (one,) = launch("up")
    assert msgspec.json.encode(stats(one, NOW_NS, WALL_NS)) == (
        b'{"total_events":0,"current_rate":0.0,"target_rate":10.0,"bytes_emitted":0,"errors":0,"uptime_secs":10.0,'
        b'"state":"running","in_gap":false,"in_burst":false,"consecutive_failures":0,"total_sink_failures":0,'
        b'"last_sink_error":null,"last_successful_write_at":null,"degraded":false,"current_state_secs":10.0,'
        b'"cumulative_resolution_attempts":0,"rejected_batches":0,"rejected_events":0,"last_rejection":null,'
        b'"lost_events":0,"acknowledged_events":0,"in_doubt_events":0,"cpu_seconds":0.0,"wakeups":0,'
        b'"lateness_p50_secs":null,"lateness_p99_secs":null,"lateness_buckets":[],'
        b'"backlog_secs":0.0,"backlog_left_secs":null,"digest":null}'
    )


def test_stats_show_what_the_worker_wrote() -> None:
    """Counters, flags, the last error and the time in the current state come from the board."""
    plane, (one,) = launch("up")
    plane.show(
        one.id,
        Counters(
            state=State.RUNNING,
            state_since_ns=NOW_NS - 2 * SECOND,
            total_events=3359,
            bytes_emitted=2**63,
            errors=12,
            total_sink_failures=12,
            consecutive_failures=4,
            last_successful_write_at=WALL_NS - 1,
            current_rate=100.4,
            in_gap=True,
            in_burst=False,
            last_sink_error="HTTP 500",
            rejected_batches=2,
            rejected_events=2000,
            last_rejection="HTTP 404",
            lost_events=30,
            acknowledged_events=1329,
            in_doubt_events=10,
            wakeups=3000,
            cpu_ns=SECOND // 4,
        ),
    )
    Lateness(plane.rows[one.id].view).count(1_000_000, 10, NOW_NS - SECOND)
    assert msgspec.to_builtins(stats(one, NOW_NS, WALL_NS)) == {
        "total_events": 3359,
        "current_rate": 100.4,
        "target_rate": 10.0,
        "bytes_emitted": 2**63,
        "errors": 12,
        "uptime_secs": 10.0,
        "state": "running",
        "in_gap": True,
        "in_burst": False,
        "consecutive_failures": 4,
        "total_sink_failures": 12,
        "last_sink_error": "HTTP 500",
        "last_successful_write_at": WALL_NS - 1,
        "degraded": False,
        "current_state_secs": 2.0,
        "cumulative_resolution_attempts": 0,
        "rejected_batches": 2,
        "rejected_events": 2000,
        "last_rejection": "HTTP 404",
        "lost_events": 30,
        "acknowledged_events": 1329,
        "in_doubt_events": 10,
        "cpu_seconds": 0.25,
        "wakeups": 3000,
        "lateness_p50_secs": pytest.approx(0.001, rel=0.25),
        "lateness_p99_secs": pytest.approx(0.001, rel=0.25),
        "backlog_secs": 0.0,
        "backlog_left_secs": None,
        "lateness_buckets": [(1_048_576, 10)],
        "digest": None,
    }


@pytest.mark.parametrize(
    ("behind_secs", "rate", "left_secs"),
    [(3600, 1010.0, 36.0), (3600, 20.0, 3600.0), (3600, 10.0, None), (3600, 0.0, None), (0, 1010.0, None)],
)
def test_the_time_left_of_a_history_is_what_it_takes_at_the_rate_of_now(
    behind_secs: int, rate: float, left_secs: float | None
) -> None:
    """What becomes due meanwhile has to be caught up with too; no history, or no progress, has no time left."""
    plane, (one,) = launch("up")
    plane.show(one.id, Counters(backlog_ns=behind_secs * SECOND, current_rate=rate))
    shown = stats(one, NOW_NS, WALL_NS)
    assert (shown.backlog_secs, shown.backlog_left_secs) == (behind_secs, left_secs)


@pytest.mark.parametrize(
    ("failures", "last_write_age_ns", "degraded"),
    [
        (0, None, False),
        (1, None, True),
        (1, 30 * SECOND, False),
        (1, 30 * SECOND + 1, True),
        (0, 60 * SECOND, False),
        (1, -5 * SECOND, False),
    ],
)
def test_degraded_means_failures_and_no_write_for_more_than_thirty_seconds(
    failures: int, last_write_age_ns: int | None, degraded: bool
) -> None:
    """List, detail and stats agree; a write in the future counts as fresh."""
    plane, (one,) = launch("up")
    last = 0 if last_write_age_ns is None else WALL_NS - last_write_age_ns
    plane.show(one.id, Counters(state=State.RUNNING, total_sink_failures=failures, last_successful_write_at=last))
    shown = detail(one, NOW_NS, WALL_NS)
    assert stats(one, NOW_NS, WALL_NS).degraded is degraded
    assert listed(one, NOW_NS, WALL_NS).degraded is degraded
    assert (shown.degraded, shown.stats.degraded) == (degraded, degraded)


def test_a_receiver_that_rejects_everything_is_seen() -> None:
    """A scenario whose batches are all rejected is degraded although no write has failed."""
    plane, (one,) = launch("up")
    plane.show(one.id, Counters(state=State.RUNNING, rejected_batches=1))
    shown = stats(one, NOW_NS, WALL_NS)
    assert (shown.degraded, shown.errors, shown.rejected_batches) == (True, 0, 1)


def test_detail_shows_configuration_and_counters_in_order() -> None:
    """The detail holds the entry as clients wrote it, and the counters; no exit reason while nothing went wrong."""
    _, (one,) = launch("up")
    shown = msgspec.to_builtins(detail(one, NOW_NS, WALL_NS))
    assert list(shown) == ["id", "name", "state", "elapsed_secs", "degraded", "config", "stats"]
    assert shown["config"] == one.entry.config
    assert list(shown["stats"]) == [
        "total_events",
        "current_rate",
        "bytes_emitted",
        "errors",
        "consecutive_failures",
        "total_sink_failures",
        "last_sink_error",
        "last_successful_write_at",
        "degraded",
    ]


def test_an_abnormal_end_is_shown_with_its_reason() -> None:
    """Why a worker died stands in the detail; a normal end leaves the key out."""
    plane, two = launch("a", "b")
    plane.finish(two[0].id, "killed by signal 9 (SIGKILL)")
    plane.finish(two[1].id)
    died, ended = (msgspec.to_builtins(detail(row, NOW_NS, WALL_NS)) for row in two)
    assert (died["state"], died["exit_reason"]) == ("finished", "killed by signal 9 (SIGKILL)")
    assert (ended["state"], "exit_reason" in ended) == ("finished", False)


def test_a_rate_that_json_cannot_hold_is_null() -> None:
    """NaN and infinities become null instead of breaking the document."""
    plane, (one,) = launch("up")
    plane.show(one.id, Counters(state=State.RUNNING, current_rate=float("inf")))
    assert b'"current_rate":null' in msgspec.json.encode(stats(one, NOW_NS, WALL_NS))
