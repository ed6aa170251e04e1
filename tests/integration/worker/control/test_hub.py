"""The loop of a worker that hosts entries, with a real pipe and epoll set."""

from collections.abc import Iterator

import pytest

from common.clock import SystemClock
from tests.support.station import Station
from worker.control.hub import Berth, Hub


@pytest.fixture
def hub(station: Station) -> Iterator[Hub]:
    hub = Hub(station.process, SystemClock(), lambda: 0)
    yield hub
    hub.close()


def test_an_entry_that_is_woken_in_its_last_turn_has_ended_all_the_same(hub: Hub) -> None:
    """A stop may come while it does the last of its work; the turn that this asks for is nobody's."""
    turns: list[str] = []

    def last(berth: Berth) -> None:
        turns.append("last")
        berth.wake()

    hub.host(last)
    hub.host(lambda _: turns.append("other"))
    hub.turn()
    assert len(hub) == 0
    hub.turn()
    assert turns == ["last", "other"]
