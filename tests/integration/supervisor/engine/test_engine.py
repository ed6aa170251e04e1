"""The engine in a process of its user's: what a plain script needs, and what it leaves alone."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.plan import Plan
from common.specs import File
from common.states import State
from supervisor.engine import Engine
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, NameConflict
from tests.support.polling import wait_until
from tests.support.processes import titled
from tests.unit.supervisor.engine.entries import plan_of, planned_entry

_BODY = """
version: 2
name: up
signal_type: metrics
rate: 200
duration: 2s
gap_windows: [{at: 250ms, for: 1750ms}]
generator: {type: constant, value: 1.0}
sink: {type: file, path: PATH}
"""

_PAGE = (Path(__file__).parents[4] / "docs" / "development.md").read_text()
_SCRIPT = _PAGE.partition("```python\n")[2].partition("```")[0]

_REPORT = (
    """
    import json, psutil, signal, sys, threading
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    title = psutil.Process().cmdline()
    watching, listening = threading.active_count(), []
""",
    """
    print(json.dumps({
        "total_events": total_events,
        "loaded": sorted({"falcon", "waitress", "setproctitle", "worker"} & set(sys.modules)),
        "rooms": sorted(name for name in sys.modules if name.startswith(("supervisor.http", "supervisor.intake"))),
        "threads": threading.active_count(),
        "children": len(psutil.Process().children(recursive=True)),
        "same_title": psutil.Process().cmdline() == title,
        "same_handlers": before == {number: signal.getsignal(number) for number in before},
        "sockets": [str(c.laddr) for c in psutil.Process().net_connections() if c.status == "LISTEN"],
    }))
""",
)


def test_a_plain_script_runs_a_scenario(tmp_path: Path) -> None:
    """Ten lines run a scenario to its end; no server, thread, signal handler or title comes with them."""
    path = tmp_path / "lines"
    script = tmp_path / "script.py"
    before, after = (textwrap.dedent(part) for part in _REPORT)
    (tmp_path / "scenario.yaml").write_text(_BODY.replace("PATH", str(path)))
    script.write_text(before + _SCRIPT.replace("print(", "total_events = (") + after)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    lines = path.read_bytes().splitlines()
    assert len(lines) == found.pop("total_events") == 50
    assert all(line.startswith(b"up 1 ") for line in lines)
    assert found == {
        "loaded": [],
        "rooms": [],
        "threads": 1,
        "children": 0,
        "same_title": True,
        "same_handlers": True,
        "sockets": [],
    }


def test_the_script_is_short() -> None:
    """The documented use fits in ten lines."""
    assert 5 < len(_SCRIPT.strip().splitlines()) <= 10


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(spares=0) as engine:
        yield engine


def _endless(path: Path, scenario_name: str | None = None) -> Plan:
    return plan_of(planned_entry(rate=200.0, sink=File(path=str(path))), scenario_name=scenario_name)


def test_the_owner_waits_stops_and_reads(engine: Engine, tmp_path: Path) -> None:
    """The thread that made the engine does everything itself: launch, wait for a while, stop, read final counts."""
    (scenario,) = engine.launch(_endless(tmp_path / "lines"))
    wait_until(lambda: not engine.wait([scenario], timeout_secs=0.1) and scenario.counters().total_events, "events")
    assert engine.scenarios() == [scenario]
    assert engine.figures().running == 1
    result = engine.stop(scenario.id)
    assert result is not None
    assert result.status == "stopped"
    assert (tmp_path / "lines").read_bytes().count(b"\n") == result.total_events > 0
    assert engine.stop(scenario.id) is None
    assert engine.wait()


def test_what_goes_wrong_reaches_the_owner(engine: Engine, tmp_path: Path) -> None:
    """Errors and timeouts are raised to the caller, and leave nothing behind."""
    with pytest.raises(CallTimeoutError):
        engine.launch(_endless(tmp_path / "lines"), timeout_secs=0)
    assert engine.scenarios() == []
    engine.launch(_endless(tmp_path / "lines", "body"))
    with pytest.raises(NameConflict):
        engine.launch(_endless(tmp_path / "others", "body"))


def test_one_event(engine: Engine, tmp_path: Path) -> None:
    """A single event is delivered without a scenario."""
    (entry,) = _endless(tmp_path / "line").entries
    assert engine.deliver(entry.plan) > 0
    assert (tmp_path / "line").read_bytes().count(b"\n") == 1
    assert engine.scenarios() == []


def test_another_thread_asks_while_the_owner_waits(engine: Engine, tmp_path: Path) -> None:
    """Calls of other threads are served by whatever turns the loop."""
    (first,) = engine.launch(_endless(tmp_path / "first"))

    def ask() -> None:
        engine.launch(_endless(tmp_path / "second"), 60)
        for scenario in engine.scenarios():
            engine.stop(scenario.id, 60)

    asking = threading.Thread(target=ask)
    asking.start()
    assert engine.wait([first], timeout_secs=60)
    assert wait_until(lambda: engine.wait(timeout_secs=0.1) and not asking.is_alive(), "the other thread is done")
    assert (tmp_path / "second").exists()


def test_closing_stops_everything(tmp_path: Path) -> None:
    """After the block nothing runs, what was counted has been delivered, and counts can still be read."""
    with Engine(spares=1) as engine:
        (scenario,) = engine.launch(_endless(tmp_path / "lines"))
        wait_until(lambda: not engine.wait(timeout_secs=0.1) and scenario.counters().total_events, "events")
    assert scenario.counters().state == State.FINISHED
    assert (tmp_path / "lines").read_bytes().count(b"\n") == scenario.counters().total_events > 0
    assert not titled(psutil.Process().children(True), "scenario")
    engine.close()
    with pytest.raises(LaunchError, match="shutting down"):
        engine.launch(_endless(tmp_path / "more"))


def test_a_signal_of_the_users_own_ends_a_wait(tmp_path: Path) -> None:
    """A user that catches signals on the loop ends its scenarios by them, and `wait` returns when they are gone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Engine(spares=0) as engine:
            engine.loop.catch_signals(lambda: engine.shut_down(3.0, lambda: None))
            (scenario,) = engine.launch(_endless(tmp_path / "lines"))

            def end_it_once_it_emits() -> None:
                if scenario.counters().total_events:
                    signal.raise_signal(signal.SIGTERM)
                else:
                    engine.loop.after(0.01, end_it_once_it_emits)

            engine.loop.after(0.01, end_it_once_it_emits)
            assert engine.wait(timeout_secs=30)
            assert scenario.exit_reason is None
            assert (tmp_path / "lines").read_bytes().count(b"\n") == scenario.counters().total_events > 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_loop_that_does_not_turn_is_told(engine: Engine) -> None:
    """Whoever asks from outside learns for how long; a loop that turns is never silent."""
    engine.wait(timeout_secs=0)
    assert engine.silent_secs() == 0.0
    wait_until(lambda: engine.silent_secs() > 3, "the silence is told")
    engine.loop.run(until=lambda: engine.silent_secs() == 0.0)
