"""The course of a run when hosts answer, fall silent, come back, or are lost."""

from collections.abc import Callable

import pytest

from supervisor.fleet.agreement import OnLost, RefusedRunError, agree
from supervisor.fleet.course import Course
from supervisor.fleet.members import PartState
from tests.support.scripted_hosts import ScriptedHost, ScriptedHosts, wishes

LOST_SECS = 15.0


class Run:
    """A run over scripted hosts, and a clock that goes on by a second at every look."""

    def __init__(self, *hosts: ScriptedHost, on_lost: OnLost = OnLost.HOLE) -> None:
        self.said: list[str] = []
        self.secs = 0.0
        self.script: dict[int, Callable[[], None]] = {}
        ways = ScriptedHosts(*hosts)
        hopes = wishes(on_lost=on_lost, lost_secs=LOST_SECS)
        self.course = Course(ways, hopes, agree(ways, hopes).parts, self.said.append, self._now, self._pause)

    def follow(self) -> list[PartState]:
        """Begin, and follow to the end; returns how each part has ended."""
        self.course.begin(0.5)
        self.course.follow(lambda: None)
        return [part.state for part in self.course.parts]

    def at(self, secs: int, what: Callable[[], None]) -> None:
        """Let something happen at a second."""
        self.script[secs] = what

    def _now(self) -> float:
        return self.secs

    def _pause(self) -> None:
        self.secs += 1.0
        assert self.secs < 1000, "the run does not end"
        self.script.get(int(self.secs), lambda: None)()


def two() -> tuple[ScriptedHost, ScriptedHost]:
    return ScriptedHost("h1", "tcp://w1"), ScriptedHost("h2", "tcp://w2")


def finish(*hosts: ScriptedHost, events: int = 100) -> Callable[[], None]:
    """Let all scenarios of hosts end."""

    def act() -> None:
        for host in hosts:
            for figures in host.scenarios.values():
                figures |= {"state": "finished", "total_events": events}

    return act


def make(host: ScriptedHost, events: int) -> None:
    """Let a host have made so many events."""
    for figures in host.scenarios.values():
        figures["total_events"] = events


def test_hosts_start_at_one_instant_and_are_left_clean() -> None:
    """Each gets its segment and the same instant; what has ended is removed from its daemon."""
    first, second = two()
    run = Run(first, second)
    run.at(5, finish(first, second))
    assert run.follow() == [PartState.OVER, PartState.OVER]
    (one,), (other,) = first.queries("begin"), second.queries("begin")
    assert (one["segment"], other["segment"]) == ("1/2", "2/2")
    assert one["start_at"] == other["start_at"]
    assert [part.events for part in run.course.parts] == [100, 100]
    assert (first.scenarios, second.scenarios) == ({}, {})
    assert run.said == []


@pytest.mark.parametrize(("waits", "most_secs"), [(4, 10), (1000, 20)])
def test_a_run_is_over_when_daemons_have_forgotten_it(waits: int, most_secs: int) -> None:
    """The command would else leave before they were asked; it does not wait for ever."""
    first, second = two()
    second.waits = waits
    run = Run(first, second)
    run.at(5, finish(first, second))
    assert run.follow() == [PartState.OVER, PartState.OVER]
    assert 5 + min(waits, 10) - 1 <= run.secs <= most_secs


def test_a_host_that_refuses_stops_the_others() -> None:
    """Those that have taken their segment are stopped before the instant comes."""
    first, second = two()
    second.refusal = "429 too many scenarios"
    run = Run(first, second)
    with pytest.raises(RefusedRunError) as refused:
        run.follow()
    assert refused.value.reasons == ["h2: 429 too many scenarios"]
    assert first.actions()[-2:] == ["begin", "end"]
    assert first.scenarios == {}


def test_a_lost_host_is_a_hole() -> None:
    """Its part keeps what was known last; the run goes on without it, and does not wait for it any longer."""
    first, second = two()
    run = Run(first, second)
    run.at(2, lambda: make(second, 40))
    run.at(4, lambda: setattr(second, "worker", None))
    run.at(40, finish(first))
    assert run.follow() == [PartState.OVER, PartState.LOST]
    assert [part.events for part in run.course.parts] == [100, 40]
    silent, lost = run.said
    assert silent == "h2 (http://127.0.0.1:8080) is silent: its Dask worker tcp://w2 is gone"
    assert lost.startswith("h2 (http://127.0.0.1:8080) is lost: segment 2/2 (3 of 6 series, 50.0 % of the rate) is not")
    assert 40 < run.secs < 45


def test_a_run_waits_for_a_silent_host_no_longer_than_said() -> None:
    """Also when it is the last one."""
    first, second = two()
    run = Run(first, second)
    run.at(3, finish(first))
    run.at(4, lambda: setattr(second, "has_daemon", False))
    assert run.follow() == [PartState.OVER, PartState.LOST]
    assert LOST_SECS < run.secs < LOST_SECS + 10


@pytest.mark.parametrize("back_at", [8, 35])
def test_a_host_comes_back_by_another_worker(back_at: int) -> None:
    """Before it counts as lost or after, as long as the run goes on: what it has made meanwhile is known again."""
    first, second = two()
    run = Run(first, second)
    run.at(4, lambda: setattr(second, "worker", None))
    run.at(back_at, lambda: setattr(second, "worker", "tcp://w9"))
    run.at(50, finish(first, second))
    assert run.follow() == [PartState.OVER, PartState.OVER]
    assert run.course.parts[1].events == 100
    assert run.said[-1] == "h2 (http://127.0.0.1:8080) answers again: segment 2/2 has gone on"


def test_all_hosts_come_back_when_the_scheduler_does() -> None:
    """Without one no worker is there; the next one has others, which lead to the same daemons."""
    first, second = two()
    run = Run(first, second)

    def workers(one: str | None, other: str | None) -> None:
        first.worker, second.worker = one, other

    run.at(4, lambda: workers(None, None))
    run.at(9, lambda: workers("tcp://w8", "tcp://w9"))
    run.at(12, finish(first, second))
    assert run.follow() == [PartState.OVER, PartState.OVER]


def test_a_daemon_that_has_forgotten_the_run_is_lost() -> None:
    """It was started anew without a state directory: the rest of its segment is missing."""
    first, second = two()
    run = Run(first, second)
    run.at(2, lambda: make(second, 40))
    run.at(5, second.scenarios.clear)
    run.at(8, finish(first))
    assert run.follow() == [PartState.OVER, PartState.LOST]
    assert run.course.parts[1].events == 40
    assert "its daemon does not have 1 of 1 scenarios any more" in run.said[-1]
    assert run.secs > LOST_SECS


def test_a_daemon_that_was_started_again_has_time_to_remember() -> None:
    """It answers before it has gone on with the runs that it keeps."""
    first, second = two()
    run = Run(first, second)
    kept: dict[str, dict[str, object]] = {}
    run.at(5, lambda: kept.update(second.scenarios) or second.scenarios.clear())
    run.at(9, lambda: second.scenarios.update(kept))
    run.at(12, finish(first, second))
    assert run.follow() == [PartState.OVER, PartState.OVER]


def test_another_host_takes_over() -> None:
    """The one with the least to do, with the segment and the start of the lost one; both figures count."""
    first, second = two()
    run = Run(first, second, on_lost=OnLost.TAKE_OVER)
    run.at(2, lambda: make(second, 40))
    run.at(4, lambda: setattr(second, "worker", None))
    run.at(40, finish(first))
    assert run.follow() == [PartState.OVER, PartState.TAKEN, PartState.OVER]
    own, taken = first.queries("begin")
    assert taken == own | {"segment": "2/2", "resume": "true"}
    assert [part.events for part in run.course.parts] == [100, 40, 100]
    assert run.course.parts[2].takes_over is run.course.parts[1]
    assert run.said[-1] == "h1 (http://127.0.0.1:8080) takes segment 2/2 over from h2 (http://127.0.0.1:8080)"


def test_a_host_that_comes_back_after_a_take_over_is_stopped() -> None:
    """Two would make the segment otherwise; what it had made by then is known."""
    first, second = two()
    run = Run(first, second, on_lost=OnLost.TAKE_OVER)
    run.at(4, lambda: setattr(second, "worker", None))
    run.at(28, lambda: make(second, 70))
    run.at(30, lambda: setattr(second, "worker", "tcp://w9"))
    run.at(60, finish(first))
    assert run.follow() == [PartState.OVER, PartState.ENDED, PartState.OVER]
    assert second.actions()[-1] == "end"
    assert second.scenarios == {}
    assert run.course.parts[1].events == 70


def test_nobody_is_left_to_take_over() -> None:
    """Then the segments are lost, and the run ends."""
    first, second = two()
    run = Run(first, second, on_lost=OnLost.TAKE_OVER)
    run.at(3, lambda: setattr(first, "worker", None))
    run.at(3, lambda: [setattr(host, "worker", None) for host in (first, second)] and None)
    assert run.follow() == [PartState.LOST, PartState.LOST]
    assert run.said[-1] == "no host is left that could take segment 2/2 over"


def test_a_stop_ends_every_part_with_its_last_figures() -> None:
    """Each is stopped once; a silent one is tried until it counts as lost."""
    first, second = two()
    run = Run(first, second)
    run.at(2, lambda: [make(host, 50) for host in (first, second)] and None)
    run.at(5, lambda: setattr(second, "worker", None))
    run.at(6, run.course.stop)
    assert run.follow() == [PartState.OVER, PartState.LOST]
    assert [host.actions().count("end") for host in (first, second)] == [1, 0]
    assert [part.events for part in run.course.parts] == [50, 50]
    assert LOST_SECS < run.secs < LOST_SECS + 10
