"""How long a failed delivery waits before it is tried again."""

import pytest

from common.errors import SinkError
from common.specs import Retry
from tests.support.manual_waiter import ManualClock, ManualWaiter
from worker.delivery.retrying import Retrying

RETRY = Retry(max_attempts=3, initial_backoff="1ms", max_backoff="2ms")


def waits(error: SinkError, **waiter: int) -> list[float]:
    """The waits of an attempt that fails so."""
    station = ManualWaiter(ManualClock(), **waiter)
    assert Retrying(RETRY, station).tries_again(error, 0)
    return station.pauses


def test_a_destination_is_left_alone_as_long_as_it_asks() -> None:
    """However short the backoff is."""
    assert waits(SinkError("busy", retriable=True, retry_after_secs=7.0)) == [7.0]
    (unasked,) = waits(SinkError("busy", retriable=True))
    assert unasked <= 0.001


@pytest.mark.parametrize(("asked", "waiter", "secs"), [(86400.0, {}, 300.0), (7.0, {"stop_at_ns": 0}, 0.1)])
def test_it_may_not_ask_for_too_much(asked: float, waiter: dict[str, int], secs: float) -> None:
    """Nor for what is left of a stop."""
    assert waits(SinkError("busy", retriable=True, retry_after_secs=asked), **waiter) == [secs]
