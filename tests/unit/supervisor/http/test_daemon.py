"""GET /daemon: what the whole daemon uses and does."""

import os
from itertools import count

import pytest

from common.counters import Counters
from supervisor.engine.figures import Figures
from supervisor.engine.tally import Totals
from supervisor.host.memory import processes_bytes
from supervisor.http.daemon import MeasuredMemory, Meter, Sums
from supervisor.settings import Settings
from tests.support.http_app import AppClient, FixedClock
from tests.support.memory_plane import MemoryControlPlane

SEC = 1_000_000_000


def test_the_figures_stand_in_one_object(settings: Settings) -> None:
    """Scenarios by state, workers, sums, and rates since an earlier call."""
    clock = FixedClock(now_ns=5 * SEC)
    seconds = count()

    def figures() -> Figures:
        passed = next(seconds)
        totals = Totals(accepted_events=100 * passed, accepted_bytes=700 * passed, errors=3, cpu_ns=SEC * passed)
        return Figures(starting=1, spare=2, running=3, totals=totals, slack_ns=SEC // 2, overloaded=True)

    client = AppClient(MemoryControlPlane(), settings, clock, figures=figures)
    ids = client.launch() + client.launch()
    client.plane.show(ids[0], Counters(state=1, state_since_ns=1))
    client.plane.finish(ids[1])
    client.get("/daemon")
    clock.now_ns += SEC
    client.get("/daemon")
    clock.now_ns += SEC
    shown = client.get("/daemon").json
    assert shown["uptime_secs"] == 2.0
    assert (shown["overloaded"], shown["wakeup_slack_secs"]) == (True, 0.5)
    assert shown["workers"] == {"starting": 1, "spare": 2, "running": 3}
    assert shown["scenarios"] == {
        **dict.fromkeys(["pending", "paused", "held", "unresolved"], 0),
        "running": 1,
        "finished": 1,
    }
    assert (shown["events_per_sec"], shown["bytes_per_sec"]) == (100.0, 700.0)
    assert shown["cores_in_use"] >= 1.0
    assert (shown["events_total"], shown["bytes_total"], shown["errors_total"]) == (200, 1400, 3)
    assert shown["memory_bytes"] > 1_000_000
    assert shown["cores"] >= 1
    assert (shown["relay"], shown["catalog"]) == (False, False)
    assert shown["autostart"]["status"] == "not_configured"


def test_rates_are_those_of_a_second_at_least() -> None:
    """However often anybody asks: two pages at once do not make each other's figures jump."""
    meter = Meter(0)
    assert meter.rates(SEC // 10, Sums(0, 10, 0))[1] == 10.0
    assert meter.rates(2 * SEC, Sums(2 * SEC, 200, 40)) == (1.0, 100.0, 20.0)
    assert meter.rates(3 * SEC, Sums(2 * SEC, 500, 40))[1] == 300.0
    for tenth in range(1, 9):
        now_ns = 3 * SEC + tenth * SEC // 10
        assert meter.rates(now_ns, Sums(0, 200 + 300 * (now_ns - 2 * SEC) // SEC, 0))[1] == pytest.approx(300.0)


def test_memory_is_that_of_all_processes_and_measured_now_and_then() -> None:
    """A process counts as often as it is named; one that is gone counts nothing."""
    own = processes_bytes((os.getpid(),))
    assert own > 1_000_000
    assert processes_bytes((os.getpid(),) * 200) == pytest.approx(200 * own, rel=0.2)
    assert processes_bytes((2**22 + 1,)) == processes_bytes(()) == 0
    memory = MeasuredMemory()
    alone = memory.bytes(0, ())
    assert memory.bytes(9 * SEC, (os.getpid(),) * 10) == alone
    assert memory.bytes(10 * SEC, (os.getpid(),) * 10) > 5 * alone
