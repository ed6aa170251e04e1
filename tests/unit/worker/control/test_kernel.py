"""What a worker asks of the kernel, where the kernel is asked by somebody else."""

import os

import pytest

from worker.control import kernel
from worker.control.kernel import Slices, leave_a_core

MS = 1_000_000


@pytest.mark.parametrize(("cores", "left"), [({0}, None), ({0, 1}, None), ({2, 3, 5}, {3, 5})])
def test_one_core_is_left_where_there_are_more_than_two(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], left: set[int] | None
) -> None:
    """The lowest of those that the process may use."""
    asked: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _pid, wanted: asked.append(wanted))
    leave_a_core()
    assert asked == ([] if left is None else [left])


def test_a_process_that_may_not_leave_a_core_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service manager may deny the call."""

    def deny(_pid: int, _cores: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", deny)
    leave_a_core()


def test_slices_are_long_between_a_tenth_of_a_second_of_work_and_the_next_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is one call; a wait in between starts the tenth of a second again."""
    asked: list[int] = []
    monkeypatch.setattr(kernel, "ask_for_slices", asked.append)
    slices = Slices()
    for at_ms in (0, 60):
        slices.goes_on(at_ms * MS)
    slices.waited()
    for at_ms in (1000, 1060, 1099):
        slices.goes_on(at_ms * MS)
    assert asked == []
    for at_ms in (1100, 1200, 1300):
        slices.goes_on(at_ms * MS)
    assert asked == [kernel.LONG_SLICE_NS]
    slices.waited()
    slices.waited()
    assert asked == [kernel.LONG_SLICE_NS, kernel.USUAL_SLICE_NS]
