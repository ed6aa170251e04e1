"""Bells of one entry: who is rung, and when. Real eventfds, in this process."""

import math
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.board import Board
from common.gate_cell import GateCell
from common.messages import Watch
from worker.gates.watchers import Watchers, is_open


@pytest.fixture
def cell() -> GateCell:
    board = Board(1)
    return GateCell(board.descriptor, 0, writable=True)


@pytest.fixture
def bell() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def hang(watchers: Watchers, bell: int, wire_id: int = 0, threshold: float = 0.5) -> None:
    watchers.add(Watch(wire_id=wire_id, op=">", value=threshold), os.dup(bell))


def rung(bell: int) -> bool:
    try:
        return os.eventfd_read(bell) > 0
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("op", "value", "verdict"),
    [
        (">", 1.0, False),
        (">", 1.5, True),
        (">", math.nan, False),
        (">", math.inf, True),
        ("<", 1.0, False),
        ("<", 0.5, True),
        ("<", math.nan, False),
        ("<", -math.inf, True),
    ],
)
def test_comparisons_are_strict(op: str, value: float, verdict: bool) -> None:
    """Equal is closed, and so is NaN."""
    assert is_open(op, value, 1.0) is verdict  # type: ignore[arg-type] # one of two words


def test_a_cell_without_a_value(cell: GateCell) -> None:
    """There is a difference between no value and zero."""
    assert cell.newest() is None
    assert cell.first_ns() == 0
    cell.publish(0.0, 7)
    cell.publish(1.0, 9)
    assert (cell.newest(), cell.first_ns()) == (1.0, 7)


def test_the_first_value_is_announced_whatever_it_is(cell: GateCell, bell: int) -> None:
    """Also one that leaves the gate closed, because pending ends with it."""
    watchers = Watchers(cell)
    hang(watchers, bell)
    assert not rung(bell)
    watchers.publish(0.0, 7)
    assert rung(bell)


def test_a_new_watcher_is_told_to_look(cell: GateCell, bell: int) -> None:
    """The value may have changed since it has looked last."""
    watchers = Watchers(cell)
    watchers.publish(0.0, 7)
    hang(watchers, bell)
    assert rung(bell)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.5, math.nan]), min_size=1, max_size=30))
def test_only_changes_ring(cell: GateCell, bell: int, values: list[float]) -> None:
    """Once for every change of the verdict, and the value is there by then."""
    watchers = Watchers(cell)
    watchers.publish(0.0, 7)
    hang(watchers, bell)
    rung(bell)
    verdict = False
    for value in values:
        watchers.publish(value, 7)
        newest = cell.newest()
        assert newest == value or math.isnan(value)
        assert rung(bell) == ((value > 0.5) is not verdict)
        verdict = value > 0.5
    watchers.remove(0)
    assert not watchers.are_there


def test_watchers_are_independent(cell: GateCell, bell: int) -> None:
    """Each has its own threshold; one that was removed is not rung any more, and its bell is closed."""
    other = os.eventfd(0, os.EFD_NONBLOCK)
    before = set(os.listdir("/proc/self/fd"))
    watchers = Watchers(cell)
    watchers.publish(0.0, 7)
    hang(watchers, bell, wire_id=1, threshold=10.0)
    hang(watchers, other, wire_id=2)
    rung(bell)
    rung(other)
    watchers.publish(5.0, 7)
    assert (rung(bell), rung(other)) == (False, True)
    watchers.remove(2)
    watchers.publish(20.0, 7)
    watchers.publish(0.0, 7)
    assert (rung(bell), rung(other)) == (True, False)
    watchers.remove(1)
    assert set(os.listdir("/proc/self/fd")) == before
    os.close(other)
