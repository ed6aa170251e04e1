"""Runs of an earlier daemon: tried one body after the other, and under way until the last was."""

import threading

import pytest

from supervisor.engine.control_plane import LaunchError, Scenario
from supervisor.engine.keeping import InterruptedBody
from supervisor.intake.continuing import Continuing

BODIES = 2 * [InterruptedBody((), ())]


@pytest.mark.parametrize("failure", [None, LaunchError("no room"), RuntimeError("a defect")])
def test_it_is_under_way_until_all_were_tried(failure: Exception | None) -> None:
    """A body that cannot go on leaves the others, and the start of the daemon goes on after the last, come what may."""
    goes_on, ended = threading.Event(), threading.Event()
    tried: list[InterruptedBody] = []

    def resume(body: InterruptedBody) -> list[Scenario]:
        goes_on.wait()
        tried.append(body)
        if failure is not None:
            raise failure
        return []

    continuing = Continuing(BODIES, resume, ended.set)
    continuing.start()
    assert continuing.is_underway
    goes_on.set()
    assert ended.wait(30)
    assert not continuing.is_underway
    assert tried == BODIES


def test_without_runs_nothing_is_under_way() -> None:
    """Even before it is started."""
    assert not Continuing([], lambda _: [], lambda: None).is_underway
