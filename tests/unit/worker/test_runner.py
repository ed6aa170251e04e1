"""One entry from start to end on a clock that tests move: what is emitted, counted, shown, and when."""

import pytest

from common.checkpoints import Checkpoints, CheckpointWriter
from common.current import CurrentValues
from common.errors import EncoderError, SinkError, SinkOpenError
from common.gate_cell import GateCell
from common.lateness import Lateness, quantile_secs
from common.plan import Burst, Cycle, RotatingLabel, Silence, gathering_ns
from common.states import State
from tests.support.stage import Stage, counting

NS = 1_000_000_000
MS = 1_000_000


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_run_emits_every_tick_and_ends_at_its_duration(stage: Stage) -> None:
    """Each tick is written at its own instant, and the run ends at T0 + D with everything counted."""
    assert stage.run(counting(10.0, 1050 * MS)) == "duration"
    assert [int(line.split()[1]) for line in stage.lines] == list(range(11))
    assert [at - stage.start_ns for at, _ in stage.sink.written] == [k * 100 * MS for k in range(11)]
    assert stage.clock.now_ns == stage.start_ns + 1050 * MS
    assert stage.sink.calls == ["open", "close"]
    counters = stage.row.read()
    assert counters.state == State.FINISHED
    assert counters.total_events == 11
    assert counters.bytes_emitted == sum(len(line) + 1 for line in stage.lines)
    assert counters.errors == 0
    assert stage.row.recent(0).ticks.tolist() == list(range(11))
    assert stage.row.recent(0).values.tolist() == [float(k) for k in range(11)]


def test_counting_late_changes_no_number(stage: Stage) -> None:
    """Batches, measured rate, silences and the value for gates are those of a run that counts at every wake-up."""
    plan = counting(1000.0, 2200 * MS, gaps=Cycle(every_ns=500 * MS, for_ns=100 * MS))
    at_once = Stage()
    at_once.run(plan)
    in_gaps: list[bool] = []

    def look() -> None:
        # A wait is over, and what comes with its end is still to come.
        waited_until_ns = stage.clock.now_ns - stage.start_ns - 1
        if waited_until_ns % (500 * MS) >= 400 * MS:
            in_gaps.append(stage.row.read().in_gap)

    stage.waiter.on_wait = look
    stage.runner(plan, held_ns=10 * MS).run(stage.start())
    assert stage.row.read() == at_once.row.read()
    assert stage.row.read().batches == len(stage.sink.written)
    assert in_gaps == [True] * 4
    cells = [GateCell(one.board.descriptor, 0).newest() for one in (stage, at_once)]
    assert cells[0] == cells[1] is not None


def test_what_is_fired_often_is_shown_together(stage: Stage) -> None:
    """Never later than allowed: the counters, and with them the samples; at the end all of it."""
    plan = counting(1000.0, 200 * MS)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        # In a wait the tick at this instant is still to come.
        fired_until_ns = stage.sink.written[-1][0]
        assert stage.row.recent(0).position >= stage.row.read().total_events
        seen.append((fired_until_ns - stage.start_ns, stage.row.read().total_events))

    stage.waiter.on_wait = look
    stage.runner(plan, held_ns=10 * MS).run(stage.start())
    assert all(shown >= (fired_ns - 10 * MS) // MS + 1 for fired_ns, shown in seen)
    assert len({shown for _, shown in seen}) < len(seen) / 5
    assert stage.row.read().total_events == len(stage.lines) == 200
    late = Lateness(stage.row.view).last_second(stage.clock.now_ns + NS)
    assert late is not None
    assert late.sum() == 200


def test_a_checkpoint_is_never_behind_what_is_delivered(stage: Stage) -> None:
    """After every batch, while the row shows several together; also one that failed is in it."""
    checkpoints = Checkpoints(1)
    behind: list[int] = []

    def look() -> None:
        found = checkpoints.read(0)
        assert found is not None
        kept = found.counters
        written = [encoded for _, encoded in stage.sink.written]
        assert kept.total_events == sum(encoded.events for encoded in written)
        assert kept.bytes_emitted == sum(len(encoded.payload) for encoded in written)
        assert kept.next_tick == kept.total_events + kept.total_sink_failures
        behind.append(kept.total_events - stage.row.read().total_events)

    stage.sink.fail_write = lambda: stage.clock.now_ns - stage.start_ns in range(40 * MS, 45 * MS)
    stage.waiter.on_wait = look
    kept = CheckpointWriter(checkpoints.descriptor, 0)
    stage.runner(counting(1000.0, 100 * MS), held_ns=10 * MS, kept=kept).run(stage.start())
    assert max(behind) > 1
    assert stage.row.read().total_sink_failures > 0


def test_a_sink_that_blocks_holds_nothing_back(stage: Stage) -> None:
    """What was written before the wait is shown while it lasts."""
    seen: list[int] = []

    def fails() -> bool:
        if len(stage.sink.written) == 5 and not seen:
            stage.waiter.pause(1.0)
            seen.append(stage.row.read().total_events)
        return False

    stage.sink.fail_write = fails
    stage.runner(counting(1000.0, 20 * MS), held_ns=10 * MS).run(stage.start())
    assert seen == [5]


def test_bytes_do_not_depend_on_the_speed_of_the_sink(stage: Stage) -> None:
    """A sink that makes the run catch up in batches gets the same bytes as one that keeps up."""
    plan = counting(1000.0, NS)
    stage.run(plan)
    slow = Stage()
    slow.sink.write_ns = 7 * MS
    slow.run(plan)
    assert len(slow.sink.written) < len(stage.sink.written) / 5
    assert slow.lines == stage.lines


def test_the_phase_offset_is_waited_out_before_the_sink_is_opened(stage: Stage) -> None:
    """Pending until then, with all counters zero; stamps and duration count from the entry's own start."""
    stage.run(counting(1.0, NS, phase_offset_ns=3 * NS))
    assert stage.shown[0].state == State.PENDING
    assert stage.shown[0].total_events == 0
    assert [at - stage.start_ns for at, _ in stage.sink.written] == [3 * NS]
    assert int(stage.lines[0].split()[2]) == (stage.clock.wall_offset_ns + stage.start_ns + 3 * NS) // MS
    assert stage.clock.now_ns == stage.start_ns + 4 * NS


def test_a_stop_during_the_phase_offset_emits_nothing(stage: Stage) -> None:
    """The wait ends at once, the sink is never opened, and the row says finished."""
    stage.waiter.stop_at_ns = stage.start_ns + NS
    assert stage.run(counting(1.0, NS, phase_offset_ns=3 * NS)) == "stopped"
    assert stage.clock.now_ns == stage.start_ns + NS
    assert stage.sink.calls == []
    assert stage.row.read().state == State.FINISHED


def test_a_stop_ends_the_wait_for_a_tick(stage: Stage) -> None:
    """No further tick is fired, then the sink is closed."""
    stage.waiter.stop_at_ns = stage.start_ns + 1500 * MS
    assert stage.run(counting(1.0, None)) == "stopped"
    assert len(stage.lines) == 2
    assert stage.sink.calls == ["open", "close"]
    assert stage.clock.now_ns == stage.start_ns + 1500 * MS


@pytest.mark.parametrize(
    ("rate", "wake_ups", "late_ms"),
    [
        (100.0, 100, 0.0),
        (700.0, 350, 1.43),
        (1000.0, 500, 1.0),
        (2000.0, 500, 1.5),
        (10_000.0, 909, 1.0),
        (100_000.0, 990, 1.0),
    ],
)
def test_wake_ups_are_bounded(stage: Stage, rate: float, wake_ups: int, late_ms: float) -> None:
    """Ticks that lie close together share the wake-up of the last of them: it is on time, the first one is late."""
    stage.run(counting(rate, NS, gathering_ns=gathering_ns(rate)))
    assert stage.row.read().total_events == rate
    assert len(stage.shown) == pytest.approx(wake_ups, abs=2)
    stamps_ns = stage.row.recent(0).stamps_ns.tolist()
    fired_ns = [at + stage.clock.wall_offset_ns for at, encoded in stage.sink.written for _ in range(encoded.events)][
        -len(stamps_ns) :
    ]
    lateness_ms = [(fired - stamp) / MS for fired, stamp in zip(fired_ns, stamps_ns, strict=True)]
    assert max(lateness_ms) == pytest.approx(late_ms, abs=0.01)
    assert min(lateness_ms) == pytest.approx(0.0, abs=0.01)


def test_slack_makes_ticks_share_wake_ups_and_changes_nothing_else(stage: Stage) -> None:
    """With 20 ms of slack a tick is up to 20 ms late, never early; numbers, values and stamps are the same."""
    plan = counting(1000.0, NS, gaps=Cycle(every_ns=300 * MS, for_ns=50 * MS))
    stage.run(plan)
    slack = Stage()
    slack.board.set_slack_ns(20 * MS)
    slack.run(plan)
    assert slack.lines == stage.lines
    assert len(slack.sink.written) < 60
    for at, encoded in slack.sink.written:
        stamps = [int(line.split()[2]) for line in encoded.payload.splitlines()]
        lateness_ms = at / MS + slack.clock.wall_offset_ns / MS - stamps[0]
        assert 0 <= lateness_ms <= 21
    assert slack.clock.now_ns == slack.start_ns + NS


def test_a_run_that_never_waits_looks_for_commands(stage: Stage) -> None:
    """Every five milliseconds, not every batch."""
    stage.sink.write_ns = 100_000
    stage.run(counting(1e9, 300 * MS))
    assert len(stage.sink.written) == 3000
    assert stage.waiter.looks == pytest.approx(60, abs=1)


def test_a_stop_is_seen_by_a_run_that_never_waits(stage: Stage) -> None:
    """The run ends with the batch that was being written."""
    stage.sink.write_ns = 100_000
    stage.waiter.stop_at_ns = stage.start_ns + 10 * MS
    assert stage.run(counting(1e9, None)) == "stopped"
    assert len(stage.sink.written) == 100


def test_gap_and_burst_flags(stage: Stage) -> None:
    """in_gap from the start of a silence to the next tick, in_burst as the last tick was, false in a gap."""
    plan = counting(
        10.0,
        2 * NS,
        bursts=Burst(cycle=Cycle(every_ns=NS, for_ns=200 * MS), multiplier=5.0),
        gap_windows=(Silence(start_ns=1100 * MS, end_ns=1500 * MS),),
    )
    stage.run(plan)
    by_instant = [
        (counters.heartbeat_ns - stage.start_ns, counters.in_gap, counters.in_burst) for counters in stage.shown
    ]
    assert (180 * MS, False, True) in by_instant
    assert (900 * MS, False, False) in by_instant
    assert (1100 * MS, True, False) in by_instant
    assert (1500 * MS, False, False) in by_instant


def test_start_time_moves_only_the_stamps(stage: Stage) -> None:
    """An anchor replaces the wall clock at the start, a shift is added to it."""
    stage.run(counting(1.0, 2 * NS, anchor_ns=1_000_000 * NS, shift_ns=-5 * NS, phase_offset_ns=NS))
    assert [int(line.split()[2]) for line in stage.lines] == [999_995_000, 999_996_000]


def test_a_sink_that_cannot_be_opened_ends_the_scenario(stage: Stage) -> None:
    """One sink failure is counted with its text; no event, and the sink is not flushed."""
    stage.sink.fail_open = True
    with pytest.raises(SinkOpenError):
        stage.run(counting(10.0, NS))
    counters = stage.row.read()
    assert (counters.state, counters.errors, counters.total_sink_failures) == (State.FINISHED, 1, 1)
    assert counters.consecutive_failures == 1
    assert counters.last_sink_error == "no such place"
    assert counters.total_events == 0


def test_an_event_that_cannot_be_encoded_ends_the_scenario(stage: Stage) -> None:
    """One error and no sink failure; what was buffered is not flushed, the sink is closed."""
    with pytest.raises(EncoderError):
        stage.run(counting(10.0, NS, anchor_ns=-10 * NS))
    counters = stage.row.read()
    assert (counters.state, counters.errors, counters.total_sink_failures) == (State.FINISHED, 1, 0)
    assert stage.sink.calls == ["open", "close"]


def test_a_failing_sink_under_warn_costs_events_and_nothing_else(stage: Stage) -> None:
    """Tick numbers advance over failed writes; failed ticks are neither events nor samples."""
    stage.sink.fail_write = lambda: 300 * MS <= stage.clock.now_ns - stage.start_ns < 500 * MS
    assert stage.run(counting(10.0, NS)) == "duration"
    assert [int(line.split()[1]) for line in stage.lines] == [0, 1, 2, 5, 6, 7, 8, 9]
    counters = stage.row.read()
    assert (counters.total_events, counters.errors, counters.total_sink_failures) == (8, 2, 2)
    assert counters.consecutive_failures == 0
    assert counters.last_sink_error == "full"
    assert stage.row.recent(0).ticks.tolist() == [0, 1, 2, 5, 6, 7, 8, 9]
    assert (counters.batches, counters.deliveries, counters.failed_deliveries) == (10, 8, 2)


def test_the_newest_value_of_each_series_is_shown(stage: Stage) -> None:
    """That of the newest tick that was delivered, label set by label set."""
    stage.sink.fail_write = lambda: 600 * MS <= stage.clock.now_ns - stage.start_ns < 800 * MS
    plan = counting(10.0, NS, dynamic_labels=(RotatingLabel(key="h", cardinality=4, prefix=""),))
    stage.run(plan)
    newest = CurrentValues(stage.row.view, plan).newest()
    assert [(labels, value) for (_, labels), value in newest] == [
        ((("h", "0"),), 8.0),
        ((("h", "1"),), 9.0),
        ((("h", "2"),), 2.0),
        ((("h", "3"),), 3.0),
    ]


def test_lateness_is_that_of_the_scheduled_instants(stage: Stage) -> None:
    """Ticks that wait for a slow write are late by as much, whatever their stamps say."""
    stage.sink.write_ns = 300 * MS
    stage.run(counting(10.0, NS, anchor_ns=5 * NS))
    counts = Lateness(stage.row.view).last_second(stage.start_ns + NS)
    assert counts is not None
    assert int(counts.sum()) == 10
    assert quantile_secs(counts, 0.05) < 1e-6
    assert 0.15 < quantile_secs(counts, 0.5) < 0.25


def test_a_failing_sink_under_fail_ends_the_scenario(stage: Stage) -> None:
    """One failure is counted, the scenario is finished, nothing is flushed."""
    stage.sink.fail_write = lambda: stage.clock.now_ns - stage.start_ns >= 300 * MS
    with pytest.raises(SinkError, match="full"):
        stage.run(counting(10.0, NS, on_sink_error="fail"))
    counters = stage.row.read()
    assert (counters.state, counters.total_events, counters.errors) == (State.FINISHED, 3, 1)
    assert stage.sink.calls == ["open", "close"]


def test_the_rate_is_measured(stage: Stage) -> None:
    """After a second current_rate is the rate, and it keeps its last value when finished."""
    stage.run(counting(50.0, 1500 * MS))
    assert stage.row.read().current_rate == pytest.approx(50.0)


def test_batches_of_long_events_are_cut(stage: Stage) -> None:
    """A batch is not much longer than a mebibyte once the length of the events is known."""
    stage.sink.write_ns = 50 * MS
    stage.run(counting(1e6, NS, labels={"text": "x" * 20_000}))
    sizes = [len(encoded.payload) for _, encoded in stage.sink.written]
    assert len(sizes) > 10
    assert max(sizes) <= 1024 * 1024


def test_a_state_that_may_not_follow_is_refused(stage: Stage) -> None:
    """A finished run cannot be run again: the table of transitions is asked at every change."""
    runner = stage.runner(counting(10.0, NS))
    runner.run(stage.start())
    with pytest.raises(ValueError, match="illegal state change: finished -> running"):
        runner.run(stage.start())
