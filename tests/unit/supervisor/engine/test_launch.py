"""A body on its way to its common start, with strings for workers."""

from concurrent.futures import Future

from supervisor.engine.control_plane import Scenario
from supervisor.engine.launch import MOST_LOSSES, Launch
from supervisor.engine.scenarios import LaunchedScenario
from tests.unit.supervisor.engine.entries import planned_entry


def _launch(count: int) -> Launch[str]:
    entries = [planned_entry(f"e{index}") for index in range(count)]
    scenarios = [LaunchedScenario(entry.plan.name, entry, None, 0) for entry in entries]
    reply: Future[list[Scenario]] = Future()
    return Launch(scenarios, reply)


def test_starts_when_the_last_worker_is_prepared() -> None:
    """All entries need a prepared worker before any may start."""
    launch = _launch(3)
    assert launch.assign("a").id == "e0"
    assert not launch.prepared("a")
    assert launch.assign("b").id == "e1"
    assert launch.assign("c").id == "e2"
    assert not launch.prepared("c")
    assert launch.prepared("b")


def test_withdrawn_entry_is_assigned_next() -> None:
    """An entry whose worker did not take its plan gets the next worker."""
    launch = _launch(2)
    launch.assign("a")
    launch.withdraw("a")
    assert "a" not in launch.workers
    assert launch.assign("b").id == "e0"
    assert launch.assign("c").id == "e1"
    assert not launch.prepared("b")
    assert launch.prepared("c")


def test_an_entry_may_lose_some_workers() -> None:
    """A lost worker of an entry is replaced, prepared or not, up to a bound; then the launch is lost."""
    launch = _launch(2)
    launch.assign("0")
    launch.assign("other")
    assert not launch.prepared("0")
    for loss in range(1, MOST_LOSSES):
        assert launch.retry(str(loss - 1))
        assert not launch.prepared("other")
        assert launch.assign(str(loss)).id == "e0"
    assert not launch.retry(str(MOST_LOSSES - 1))
    assert launch.prepared(str(MOST_LOSSES - 1))
