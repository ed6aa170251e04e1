"""Sums over scenarios that come and go, and the ways in which workers end."""

import pytest

from common.board import Board
from common.counters import Counters
from common.messages import Fault, Finished, Start
from common.specs import Tcp
from supervisor.engine.endings import Ending, abnormal_end, ending_of
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.tally import Tally
from tests.unit.supervisor.engine.entries import planned_entry

FAULT = Fault(cause="sink", message="full")
SURPRISE = Fault(cause="runtime", message="oops", traceback="Traceback …")


def test_sums_never_fall_when_scenarios_go() -> None:
    """What a scenario has done counts while it runs, when it has ended, and when its row is another's."""
    board, tally = Board(2), Tally()
    memory = LaunchedScenario("a", planned_entry(), None, 0)
    tcp = LaunchedScenario("b", planned_entry(sink=Tcp(address="host:1")), None, 0)
    rows = [board.row(0), board.row(1)]
    for scenario, row in zip((memory, tcp), rows, strict=True):
        scenario.attach(row, 0)
        scenario.start(Start(start_ns=0, wall_ns=0))
    tally.started([memory, tcp])
    rows[0].publish(Counters(batches=5, deliveries=4, failed_deliveries=1, acknowledged_events=40, lost_events=9))
    rows[1].publish(Counters(batches=7, deliveries=7, acknowledged_events=70, rejected_events=2, in_doubt_events=1))
    for gone in ([], [memory], [memory, tcp]):
        for scenario in gone[-1:]:
            scenario.freeze(None, 9)
            tally.ended(scenario)
            scenario.detach()
            board.clear(0)
        assert tally.running == 2 - len(gone)
        totals = tally.totals()
        assert totals.batches == 12
        assert {key: count for key, count in totals.deliveries.items() if count} == {
            ("memory", "ok"): 4,
            ("memory", "failed"): 1,
            ("tcp", "ok"): 7,
        }
        assert {key: count for key, count in totals.events.items() if count} == {
            ("memory", "acknowledged"): 40,
            ("memory", "lost"): 9,
            ("tcp", "acknowledged"): 70,
            ("tcp", "rejected"): 2,
            ("tcp", "in_doubt"): 1,
        }


@pytest.mark.parametrize(
    ("finished", "killed", "exit_code", "ending"),
    [
        (Finished(reason="duration"), False, 0, "finished"),
        (Finished(reason="failed", fault=FAULT), False, 0, "finished"),
        (Finished(reason="stopped"), False, 0, "stopped"),
        (Finished(reason="failed", fault=SURPRISE), False, 0, "crashed"),
        (None, False, 0, "crashed"),
        (None, False, 255, "crashed"),
        (Finished(reason="duration"), False, 3, "crashed"),
        (None, False, -11, "killed"),
        (None, True, -9, "killed"),
        (Finished(reason="stopped"), True, 0, "killed"),
    ],
)
def test_every_end_is_of_one_kind(finished: Finished | None, killed: bool, exit_code: int, ending: Ending) -> None:
    """A regular end, a stop, a signal, or something nobody expected."""
    assert ending_of(finished, killed, exit_code) == ending


@pytest.mark.parametrize(
    ("finished", "asked", "words"),
    [
        (Finished(reason="duration"), False, None),
        (Finished(reason="stopped"), True, None),
        (Finished(reason="stopped"), False, "stopped by a signal from outside"),
        (Finished(reason="failed", fault=FAULT), True, "sink error: full"),
        (Finished(reason="failed"), True, "failed"),
        (None, True, "ended without saying why"),
    ],
)
def test_what_should_not_have_happened_is_said_in_words(
    finished: Finished | None, asked: bool, words: str | None
) -> None:
    """A stop that nobody asked for is one of it."""
    assert abnormal_end(finished, asked) == words
