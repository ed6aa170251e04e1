"""A worker's waiting and talking over a real pipe, in this process."""

import fcntl
import logging
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from common.clock import SystemClock
from common.messages import Log, StdoutClosed, StdoutDiscards, Stop
from common.wire import receive_event, send
from tests.support.manual_waiter import ManualClock
from tests.support.station import Station, links_of_a_worker
from worker.control.control import Control
from worker.control.entry import LEAVE_NS

MS = 1_000_000


@pytest.mark.parametrize("wait_ms", [0, 1, 20, 300])
def test_a_wait_is_never_early(station: Station, wait_ms: int) -> None:
    """Long waits, which are made in two steps, included."""
    deadline_ns = time.monotonic_ns() + wait_ms * MS
    station.control.wait_until(deadline_ns)
    assert time.monotonic_ns() >= deadline_ns


def test_a_stop_ends_a_wait_for_a_tick(station: Station) -> None:
    """At once, not at the tick."""
    station.stop(window_secs=60)
    station.control.wait_until(time.monotonic_ns() + 3600 * 1000 * MS)
    assert station.control.stopping
    assert not station.control.given_up


def test_a_stop_ends_the_pause_it_interrupts_and_bounds_the_next(station: Station) -> None:
    """The first backoff ends at once; later ones end when the time is given up, before the stop's deadline."""
    window_secs = LEAVE_NS / 1e9 + 1.0
    station.stop(window_secs)
    station.control.pause(3600)
    assert station.control.stopping
    assert not station.control.given_up
    station.control.pause(3600)
    assert station.control.given_up


def test_a_wait_for_a_descriptor_has_a_limit_of_its_own(station: Station) -> None:
    """False when nothing came in time, True when it did; other commands do not end it."""
    readable, writable = os.pipe()
    send(station.ours, StdoutDiscards())
    assert not station.control.until_readable(readable, 0.05)
    assert station.control.stdout_discards
    assert station.control.until_writable(writable, 0.05)
    os.write(writable, b"x")
    assert station.control.until_readable(readable)
    os.close(readable)
    os.close(writable)


def test_looking_never_waits(station: Station) -> None:
    """With and without a command there."""
    station.control.look()
    assert not station.control.stopping
    station.stop(window_secs=60)
    station.control.look()
    assert station.control.stopping


def test_calls_may_block_until_commands_have_waited_for_some_milliseconds(station: Station) -> None:
    """Then they are looked at first."""
    alive, parent = os.pipe()
    clock = ManualClock()
    control = Control(station.ours, parent, clock)
    assert not control.may_block()
    for _ in range(2):
        control.select((), (), 0)
        assert control.may_block()
        clock.now_ns += 4 * MS
        assert control.may_block()
        clock.now_ns += 2 * MS
        assert not control.may_block()
    control.close()
    os.close(alive)
    os.close(parent)


def test_the_earliest_of_several_deadlines_holds(station: Station) -> None:
    """A later stop cannot prolong an earlier one."""
    now_ns = time.monotonic_ns()
    for window_ms in (60_000, 400, 50_000):
        send(station.ours, Stop(deadline_ns=now_ns + window_ms * MS))
        station.control.look()
    assert station.control.given_up


def test_log_lines_are_dropped_and_counted_when_the_pipe_is_full(station: Station) -> None:
    """The worker never waits for its log; the next line that fits says how many did not."""
    sent = 0
    while station.control.log(logging.INFO, "x" * 1000) or not dropped(station.process):
        sent += 1
        assert sent < 10_000
    lost = dropped(station.process)
    received = [event for event in station.events() if isinstance(event, Log)]
    assert len(received) + lost == sent + 1
    station.control.log(logging.WARNING, "behind")
    (last,) = station.events()
    assert last == Log(level=logging.WARNING, message="behind", fields={"dropped": str(lost)}, scenario_id="a")


def dropped(control: Control) -> int:
    return control._lines_dropped


def test_long_log_lines_are_cut(station: Station) -> None:
    """One line cannot fill the pipe."""
    station.control.log(logging.INFO, "x" * 100_000)
    (event,) = station.events()
    assert isinstance(event, Log)
    assert len(event.message) == 2000


def test_the_loss_of_stdouts_reader_is_told(station: Station) -> None:
    """And discards from then on."""
    station.control.report_stdout_closed()
    assert station.control.stdout_discards
    assert station.events() == [StdoutClosed()]


class CountingClock:
    """Counts how often the time is looked up: once for every turn of a wait."""

    looks = 0
    wall_ns = staticmethod(time.time_ns)

    def monotonic_ns(self) -> int:
        self.looks += 1
        return time.monotonic_ns()


def test_a_supervisor_that_has_gone_stops_the_worker_without_a_busy_loop() -> None:
    """End of file is handled once; waits inside sinks go on for what is left of the second."""
    ours, theirs = multiprocessing.Pipe()
    alive, parent = os.pipe()
    clock = CountingClock()
    control = Control(theirs, alive, clock)
    ours.close()
    os.close(parent)
    with control.entry("a", links_of_a_worker()) as entry:
        entry.wait_until(time.monotonic_ns() + 3600 * 1000 * MS)
        assert entry.stopping
        clock.looks = 0
        assert not entry.until_readable(control._terminated)
        assert entry.given_up
        assert clock.looks < 20
        entry.log(logging.INFO, "nobody reads this")
    control.close()
    theirs.close()
    os.close(alive)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 4096), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("many_descriptors")
def test_descriptors_beyond_the_limit_of_select_are_no_obstacle() -> None:
    """The template of a thousand workers hands out descriptors that select() does not take."""
    ours, theirs = multiprocessing.Pipe()
    alive, parent = os.pipe()
    high = Connection(fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 2000))
    high_alive = fcntl.fcntl(alive, fcntl.F_DUPFD_CLOEXEC, 2000)
    control = Control(high, high_alive, SystemClock())
    send(ours, Stop(deadline_ns=time.monotonic_ns() + 60_000 * MS))
    with control.entry("a", links_of_a_worker()) as entry:
        entry.wait_until(time.monotonic_ns() + 3600 * 1000 * MS)
        assert entry.stopping
        entry.report_stdout_closed()
    assert receive_event(ours) == StdoutClosed()
    control.close()
    for connection in (ours, theirs, high):
        connection.close()
    for descriptor in (alive, parent, high_alive):
        os.close(descriptor)
