"""Which scenarios share a worker, and how many workers that takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plan import Burst, Cycle, Histogram
from common.sharing import Isolation, Sharing
from common.specs import Exponential
from supervisor.engine.placement import (
    MOST_SHARED_EVENTS_PER_SEC,
    fits_in_shared,
    fullest_with_room,
    hosts_missing,
    shares_worker,
)
from tests.support.plans import entry_plan

BURST = Burst(cycle=Cycle(every_ns=10, for_ns=5), multiplier=4.0)


@pytest.mark.parametrize(
    ("rate", "bursts", "fits"),
    [
        (1.0, None, True),
        (MOST_SHARED_EVENTS_PER_SEC, None, True),
        (MOST_SHARED_EVENTS_PER_SEC + 1.0, None, False),
        (MOST_SHARED_EVENTS_PER_SEC / 4, BURST, True),
        (MOST_SHARED_EVENTS_PER_SEC / 3, BURST, False),
    ],
)
def test_what_is_too_fast_does_not_share(rate: float, bursts: Burst | None, fits: bool) -> None:
    """At its fastest, bursts included."""
    assert fits_in_shared(entry_plan(rate=float(rate), bursts=bursts)) is fits


@pytest.mark.parametrize(("observations", "fits"), [(100, True), (20_000, True), (20_001, False)])
def test_what_observes_too_much_does_not_share(observations: int, fits: bool) -> None:
    """Its draws take the processor, however few its events are."""
    histogram = Histogram(
        distribution=Exponential(rate=1.0),
        buckets=(1.0,),
        observations_per_tick=observations,
        mean_shift_per_sec=0.0,
        seed=1,
    )
    assert fits_in_shared(entry_plan(rate=100.0, signal_type="histogram", generator=histogram)) is fits


@pytest.mark.parametrize(
    ("asked", "default", "rate", "shares"),
    [
        (None, "process", 1.0, False),
        (None, "shared", 20_000.0, True),
        (None, "shared", 20_001.0, False),
        (None, "auto", 1000.0, True),
        (None, "auto", 1001.0, False),
        ("auto", "process", 1000.0, True),
        ("process", "auto", 1.0, False),
        ("shared", "auto", 20_000.0, True),
    ],
)
def test_who_shares(asked: Isolation | None, default: Isolation, rate: float, shares: bool) -> None:
    """What an entry says comes before what the daemon was told; `auto` goes by the rate."""
    assert shares_worker(entry_plan(rate=rate, isolation=asked), Sharing(default)) is shares


def test_the_fullest_host_with_room_is_filled_first() -> None:
    """So that the fewest processes wake; a full one takes nobody."""
    hosts = ["ab", "abcd", "abc"]
    assert fullest_with_room(hosts, 4) == "abc"
    assert fullest_with_room(hosts, 3) == "ab"
    assert fullest_with_room(hosts, 2) is None
    assert fullest_with_room([], 2) is None


@given(hosts=st.lists(st.integers(0, 9), max_size=5), waiting=st.integers(0, 50), per_worker=st.integers(1, 9))
def test_as_many_hosts_are_missing_as_are_filled(hosts: list[int], waiting: int, per_worker: int) -> None:
    """Placed one after the other, a new host whenever no other has room: exactly so many are new."""
    placed = [[None] * guests for guests in hosts]
    missing = hosts_missing(waiting, placed, per_worker)
    for _ in range(waiting):
        host = fullest_with_room(placed, per_worker)
        if host is None:
            host = []
            placed.append(host)
        host.append(None)
    assert len(placed) - len(hosts) == missing
