"""Gated entries from start to end on a clock that tests move: what is emitted, when, and what is shown."""

import os
from typing import Any

import pytest

from common.messages import Watch
from common.plan import Cycle, EntryPlan, GatePlan, RotatingLabel, Silence
from common.specs import Step
from common.states import State
from tests.support.gated_stage import UPSTREAM_ROW, GatedStage
from tests.support.plans import entry_plan

MS = 1_000_000
NS = 1_000_000_000


@pytest.fixture
def stage() -> GatedStage:
    return GatedStage()


def gated(duration_ms: int, rate: float = 10.0, fields: dict[str, Any] | None = None, **gate: Any) -> EntryPlan:
    """An entry whose value is the number of its tick, open while its upstream is above 0.5."""
    clause = GatePlan(**{"scenario_name": None, "ref": "up", "op": ">", "value": 0.5} | gate)
    return entry_plan(
        rate=rate, duration_ns=duration_ms * MS, generator=Step(step_size=1.0), gate=clause, **(fields or {})
    )


def test_it_emits_while_the_gate_is_open(stage: GatedStage) -> None:
    """A tick fires at the instant of the opening, none after the closing; numbers go on where they were."""
    for ms, value in ((150, 1.0), (420, 0.0), (730, 1.0)):
        stage.value_at(ms, value)
    assert stage.run(gated(1000)) == "duration"
    assert stage.values() == [(150, 0), (250, 1), (350, 2), (730, 3), (830, 4), (930, 5)]
    assert stage.stamps() == [150, 250, 350, 730, 830, 930]
    assert stage.states == [
        (150, State.RUNNING),
        (420, State.PAUSED),
        (730, State.RUNNING),
        (1000, State.FINISHED),
    ]
    assert stage.row.read().total_events == 6


def test_a_gate_that_was_open_before_the_start_opens_with_it(stage: GatedStage) -> None:
    """First tick at the start, whatever `delay.open` says."""
    stage.value_at(-1, 1.0)
    stage.run(gated(250, open_delay_ns=NS))
    assert stage.values() == [(0, 0), (100, 1), (200, 2)]


def test_the_first_value_of_an_upstream_that_starts_together_comes_live(stage: GatedStage) -> None:
    """Whichever of the two is faster, `delay.open` holds for it."""
    stage.value_at(0, 1.0)
    stage.run(gated(250, open_delay_ns=100 * MS))
    assert stage.values() == [(100, 0), (200, 1)]


def test_without_a_value_it_stays_pending(stage: GatedStage) -> None:
    """Until the end of its duration, with nothing emitted."""
    assert stage.run(gated(1000)) == "duration"
    assert stage.lines == []
    assert stage.states == [(1000, State.FINISHED)]


def test_pending_to_paused_without_running(stage: GatedStage) -> None:
    """The first value closes the gate."""
    stage.value_at(300, 0.0)
    stage.run(gated(1000))
    assert stage.states == [(300, State.PAUSED), (1000, State.FINISHED)]


def test_edges_during_the_phase_offset_only_update_the_verdict(stage: GatedStage) -> None:
    """Pending for the whole offset; the newest value decides at its end."""
    for ms, value in ((100, 1.0), (200, 0.0), (300, 1.0)):
        stage.value_at(ms, value)
    stage.run(gated(250, fields={"phase_offset_ns": 500 * MS}))
    assert stage.values() == [(500, 0), (600, 1), (700, 2)]
    assert stage.states == [(0, State.PENDING), (500, State.RUNNING), (750, State.FINISHED)]


def test_debounce(stage: GatedStage) -> None:
    """An opening counts after `delay.open`; a closing stops emission at once and counts after `delay.close`."""
    for ms, value in ((50, 1.0), (450, 0.0), (480, 1.0), (700, 0.0)):
        stage.value_at(ms, value)
    stage.run(gated(1000, open_delay_ns=200 * MS, close_delay_ns=100 * MS))
    assert stage.values() == [(250, 0), (350, 1), (450 + 30, 2), (580, 3), (680, 4)]
    assert stage.states == [(250, State.RUNNING), (800, State.PAUSED), (1000, State.FINISHED)]


def test_an_opening_that_does_not_last_is_none(stage: GatedStage) -> None:
    """The close edge cancels it."""
    for ms, value in ((50, 1.0), (200, 0.0), (300, 1.0), (450, 0.0)):
        stage.value_at(ms, value)
    stage.run(gated(600, open_delay_ns=200 * MS))
    assert stage.lines == []
    assert stage.states == [(200, State.PAUSED), (600, State.FINISHED)]


def test_open_close_open_before_anybody_looks_is_still_open(stage: GatedStage) -> None:
    """Of unread edges only the newest counts."""
    stage.value_at(-1, 1.0)
    for value in (0.0, 1.0):
        stage.value_at(50, value)
    stage.run(gated(300))
    assert stage.values() == [(0, 0), (100, 1), (200, 2)]


def test_windows_begin_anew_with_every_segment(stage: GatedStage) -> None:
    """The cycle of gaps restarts at the opening; the tick number of a segment that ends in a gap is the one reached."""
    for ms, value in ((-1, 1.0), (450, 0.0), (600, 1.0)):
        stage.value_at(ms, value)
    gaps = Cycle(every_ns=600 * MS, for_ns=400 * MS)
    stage.run(gated(1000, fields={"gaps": gaps}))
    # Ticks 0 and 1, then silence from 200 ms on; at 450 ms ticks up to number 4 would have been due.
    assert stage.values() == [(0, 0), (100, 1), (600, 5), (700, 6)]


def test_one_shot_silences_follow_the_scenario_clock(stage: GatedStage) -> None:
    """A window that passes during a pause is over; none comes twice."""
    for ms, value in ((-1, 1.0), (150, 0.0), (550, 1.0)):
        stage.value_at(ms, value)
    silences = (Silence(start_ns=200 * MS, end_ns=400 * MS), Silence(start_ns=700 * MS, end_ns=800 * MS))
    stage.run(gated(1000, fields={"gap_windows": silences}))
    assert stage.values() == [(0, 0), (100, 1), (550, 2), (650, 3), (850, 5), (950, 6)]


def test_the_end_of_a_local_upstream_is_the_end(stage: GatedStage) -> None:
    """At once, closed and finished."""
    stage.value_at(-1, 1.0)
    stage.at(250, stage.links.upstream.lose)
    assert stage.run(gated(1000)) == "upstream"
    assert stage.values() == [(0, 0), (100, 1), (200, 2)]
    assert stage.states == [(0, State.RUNNING), (250, State.FINISHED)]
    assert stage.calls == ["open", "close"]


def test_a_stop_ends_a_pause(stage: GatedStage) -> None:
    """Without a tick."""
    stage.value_at(-1, 0.0)
    stage.waiter.stop_at_ns = stage.start_ns + 300 * MS
    assert stage.run(gated(1000)) == "stopped"
    assert stage.states == [(0, State.PAUSED), (300, State.FINISHED)]


def test_the_current_rate_is_zero_while_paused(stage: GatedStage) -> None:
    """And keeps nothing of the segment before."""
    stage.value_at(-1, 1.0)
    stage.value_at(1550, 0.0)
    rates: list[tuple[int, float]] = []
    stage.at(1400, lambda: rates.append((1400, stage.row.read().current_rate)))
    stage.at(1700, lambda: rates.append((1700, stage.row.read().current_rate)))
    stage.run(gated(2000))
    assert rates == [(1400, 10.0), (1700, 0.0)]


@pytest.mark.parametrize(("watched", "late_ms"), [(False, 80.0), (True, 20.0)])
def test_ticks_that_somebody_waits_for_are_late_by_design_by_little(
    stage: GatedStage, watched: bool, late_ms: float
) -> None:
    """The slack of a busy machine is shared by all but those whose edges have to take effect in time."""
    stage.board.set_slack_ns(80 * MS)
    if watched:
        stage.links.watchers.add(Watch(wire_id=0, op=">", value=0.5), os.eventfd(0))
    stage.run(entry_plan(rate=5.0, duration_ns=NS, generator=Step(step_size=1.0)))
    assert stage.values() == [(0, 0), *((200 * k + late_ms, k) for k in range(1, 5))]


def closing(duration_ms: int, **fields: Any) -> EntryPlan:
    return gated(duration_ms, snap_to=-1.0, close_delay_ns=100 * MS, fields=fields)


def test_a_committed_close_writes_a_last_sample(stage: GatedStage) -> None:
    """One sample with the value of `snap_to`, 1 ms behind the newest, not counted; then held."""
    stage.value_at(-1, 1.0)
    stage.value_at(250, 0.0)
    stage.run(closing(1000))
    assert stage.values() == [(0, 0), (100, 1), (200, 2), (350, -1)]
    assert stage.stamps() == [0, 100, 200, 201]
    assert stage.states == [(0, State.RUNNING), (350, State.HELD), (1000, State.FINISHED)]
    assert stage.calls == ["open", "close"]
    counters = stage.row.read()
    assert counters.total_events == 3
    assert counters.bytes_emitted == sum(len(line) + 1 for _, line in stage.lines[:3])
    assert stage.row.recent(0).values.tolist() == [0, 1, 2]


def test_a_close_that_is_cancelled_writes_nothing(stage: GatedStage) -> None:
    """The run resumes with the next number."""
    for ms, value in ((-1, 1.0), (150, 0.0), (200, 1.0)):
        stage.value_at(ms, value)
    stage.waiter.stop_at_ns = stage.start_ns + 320 * MS
    stage.run(closing(1000))
    assert stage.values() == [(0, 0), (100, 1), (200, 2), (300, 3), (320, -1)]


def test_the_end_of_the_duration_closes_what_was_written(stage: GatedStage) -> None:
    """Also inside the window of `delay.close`, and only what was written since the last close."""
    for ms, value in ((-1, 1.0), (50, 0.0), (200, 1.0), (250, 0.0), (350, 0.1)):
        stage.value_at(ms, value)
    stage.run(closing(300))
    assert stage.values() == [(0, 0), (150, -1), (200, 1), (300, -1)]


def test_held_needs_a_sample(stage: GatedStage) -> None:
    """A gate that closes before the first emission pauses, and writes nothing."""
    stage.value_at(50, 0.0)
    stage.run(closing(300))
    assert stage.states == [(50, State.PAUSED), (300, State.FINISHED)]
    assert stage.lines == []


def test_every_series_is_closed_once(stage: GatedStage) -> None:
    """Rotating labels: each label set that was written gets one last sample."""
    stage.value_at(-1, 1.0)
    stage.value_at(450, 0.0)
    label = RotatingLabel(key="pod", cardinality=3, prefix="p")
    stage.run(closing(1000, dynamic_labels=(label,)))
    closed = [line.split()[0] for ms, line in stage.lines if ms == 550]
    assert closed == [b'x{pod="p0"}', b'x{pod="p1"}', b'x{pod="p2"}']


def test_a_failed_close_is_counted_and_does_not_stop_the_transition(stage: GatedStage) -> None:
    """One error and one sink failure for all of it; ticks did not fail with it."""
    stage.value_at(-1, 1.0)
    stage.value_at(150, 0.0)
    stage.fail_write = lambda payload: b" -1 " in payload
    stage.run(closing(1000, dynamic_labels=(RotatingLabel(key="pod", cardinality=3000, prefix="p"),)))
    counters = stage.row.read()
    assert (counters.errors, counters.total_sink_failures, counters.consecutive_failures) == (1, 1, 0)
    assert counters.last_sink_error == "full"
    assert stage.waiter.lines == ["sonda: scenario 'x': 1 close emissions failed in last 60s (last: full)"]
    assert (250, State.HELD) in stage.states


def test_a_failed_close_ends_the_scenario_under_fail(stage: GatedStage) -> None:
    """As any other failure does."""
    stage.value_at(-1, 1.0)
    stage.value_at(150, 0.0)
    stage.fail_write = lambda payload: b" -1 " in payload
    with pytest.raises(Exception, match="full"):
        stage.run(closing(1000, on_sink_error="fail"))
    assert stage.states[-1] == (250, State.FINISHED)


def across(duration_ms: int, **gate: Any) -> EntryPlan:
    return gated(duration_ms, scenario_name="other", **gate)


@pytest.mark.parametrize("mode", ["pending", "closed"])
def test_unresolved_until_there_is_a_value(stage: GatedStage, mode: str) -> None:
    """Nothing is emitted; the first value of the upstream decides, without delay."""
    stage.at(200, lambda: stage.links.upstream.follow(UPSTREAM_ROW))
    stage.value_at(300, 1.0)
    stage.run(across(500, if_unresolved=mode, open_delay_ns=NS), followed=False)
    assert stage.values() == [(300, 0), (400, 1)]
    assert stage.states == [(0, State.UNRESOLVED), (300, State.RUNNING), (500, State.FINISHED)]


def test_lost_and_found(stage: GatedStage) -> None:
    """A running entry whose upstream goes is unresolved and silent; with a new one it goes on with its numbers."""
    stage.value_at(-1, 1.0)
    stage.at(150, stage.links.upstream.lose)
    stage.at(300, lambda: stage.links.upstream.follow(UPSTREAM_ROW))
    stage.run(across(450, snap_to=-1.0))
    assert stage.values() == [(0, 0), (100, 1), (150, -1), (300, 2), (400, 3), (450, -1)]
    assert [state for _, state in stage.states] == [
        State.RUNNING,
        State.UNRESOLVED,
        State.RUNNING,
        State.FINISHED,
    ]


def test_a_loss_is_not_passed_over(stage: GatedStage) -> None:
    """Lost and found between two looks still passes through unresolved."""

    def lose_and_find() -> None:
        stage.links.upstream.lose()
        stage.links.upstream.follow(UPSTREAM_ROW)

    stage.value_at(-1, 1.0)
    stage.at(150, lose_and_find)
    stage.run(across(250, snap_to=-1.0))
    assert stage.values() == [(0, 0), (100, 1), (150, -1), (150, 2), (250, -1)]


def test_open_while_unresolved_emits_through(stage: GatedStage) -> None:
    """The pace is not interrupted by being resolved; a gate that turns out closed closes what was written."""
    stage.at(150, lambda: stage.links.upstream.follow(UPSTREAM_ROW))
    stage.value_at(250, 1.0)
    stage.at(350, stage.links.upstream.lose)
    stage.value_at(450, 0.0)
    stage.at(460, lambda: stage.links.upstream.follow(UPSTREAM_ROW))
    stage.run(across(600, if_unresolved="open", snap_to=-1.0), followed=False)
    assert stage.values() == [(0, 0), (100, 1), (200, 2), (300, 3), (400, 4), (460, -1)]
    assert stage.states == [
        (0, State.UNRESOLVED),
        (250, State.RUNNING),
        (350, State.UNRESOLVED),
        (460, State.HELD),
        (600, State.FINISHED),
    ]


def test_a_row_that_is_being_given_to_somebody_else_changes_nothing(stage: GatedStage) -> None:
    """Between the end of the upstream and the news of it the last verdict holds."""
    stage.value_at(-1, 1.0)
    stage.at(50, lambda: stage.board.clear(UPSTREAM_ROW))
    stage.run(gated(250))
    assert stage.values() == [(0, 0), (100, 1), (200, 2)]
