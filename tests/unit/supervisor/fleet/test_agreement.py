"""What hosts must agree on before a run: every disagreement is told, of all hosts at once."""

import pytest

from supervisor.fleet.agreement import RefusedRunError, agree
from tests.support.scripted_hosts import SECOND_NS, ScriptedHost, ScriptedHosts, wishes


def hosts(count: int = 3) -> list[ScriptedHost]:
    return [ScriptedHost(f"h{number}", f"tcp://w{number}") for number in range(1, count + 1)]


def reasons(*there: ScriptedHost, **changed: object) -> list[str]:
    with pytest.raises(RefusedRunError) as refused:
        agree(ScriptedHosts(*there), wishes(**changed))
    return refused.value.reasons


def test_segments_go_to_hosts_by_name() -> None:
    """Whatever the order in which workers joined; the slowest rehearsal is told, and nothing was started."""
    there = hosts()
    there[1].rehearsal = {"took_secs": 7.0}
    agreement = agree(ScriptedHosts(*reversed(there)), wishes())
    assert [(part.member.said.host, part.segment) for part in agreement.parts] == [
        ("h1", "1/3"),
        ("h2", "2/3"),
        ("h3", "3/3"),
    ]
    assert agreement.took_secs == 7.0
    assert all(host.actions() == ["introduce", "introduce", "rehearse"] for host in there)


def test_two_ways_to_one_daemon_are_one_host() -> None:
    """Otherwise it would make two segments, and the run would be no larger."""
    first, second = hosts(2)
    second.introduction = {"place": "h1"}
    agreement = agree(ScriptedHosts(first, second), wishes())
    assert [part.segment for part in agreement.parts] == ["1/1"]


def test_a_wanted_number_is_taken_and_no_more() -> None:
    """The first by name."""
    agreement = agree(ScriptedHosts(*hosts(5)), wishes(hosts=2))
    assert [part.member.said.host for part in agreement.parts] == ["h1", "h2"]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """A host without a daemon, one with another recording, one of another version: a line for each."""
    first, second, third = hosts()
    first.has_daemon = False
    second.rehearsal = {"segment": {"fingerprint": "f1"}}
    third.introduction = {"version": "9.9.9"}
    assert reasons(first, second, third) == [
        "h1: no daemon",
        "h3 (http://127.0.0.1:8080): its daemon is sondad 9.9.9, here 1.2.3",
        "h2 (http://127.0.0.1:8080): a recording or a pack that the scenario names is not the same as here",
    ]


@pytest.mark.parametrize(
    ("introduction", "rehearsal", "told"),
    [
        ({"installed": "9.9.9"}, {}, "sondad 9.9.9 beside its Dask worker, here 1.2.3"),
        ({"commit": "c1"}, {}, "its daemon is of commit c1, others of another"),
        ({"clock_ns": 5 * SECOND_NS}, {}, "its clock is 4.0 s ahead of the one here; a time server must set both"),
        ({"clock_ns": -3 * SECOND_NS}, {}, "its clock is 3.0 s behind the one here; a time server must set both"),
        ({}, {"segment": {"version": 2}}, "deals series by rule 2, others by another"),
        ({}, {"segment": {"count": 4}}, "segment 3/4 instead of 3/3"),
        ({}, {"fault": "unknown field `frob`"}, "unknown field `frob`"),
    ],
)
def test_a_host_that_differs_is_named(introduction: dict[str, object], rehearsal: dict[str, object], told: str) -> None:
    """The others are not: what most of them have is right."""
    there = hosts()
    there[2].introduction, there[2].rehearsal = introduction, rehearsal
    (reason,) = reasons(*there)
    assert reason in (f"h3 (http://127.0.0.1:8080): {told}", f"h3: {told}")


def test_too_few_hosts_are_none() -> None:
    """Also when enough workers are there, but they lead to too few daemons."""
    first, second = hosts(2)
    second.introduction = {"place": "h1"}
    assert reasons(first, second, hosts=2) == ["2 hosts are wanted, 1 with a daemon are there"]
