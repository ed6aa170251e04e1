"""Who gets a processor first when all are taken: those that answer."""

import psutil

from common.scheduling import LONG_SLICE_NS, SHORT_SLICE_NS
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.slices import needs_slices, slice_ns

BODY = """
version: 2
defaults: {sink: {type: memory}}
scenarios:
  - {signal_type: metrics, name: fast, rate: 1e9, generator: {type: constant, value: 1}}
  - {signal_type: metrics, name: slow, rate: 10, generator: {type: constant, value: 1}}
"""


@needs_slices
def test_the_daemon_comes_before_what_it_has_started(shared_server: LiveServer) -> None:
    """It asks for short slices, a scenario that never waits for long ones; its template and its spares for none."""
    fast, slow = shared_server.launch(BODY)
    workers = {row["name"]: shared_server.worker(row["id"]).pid for row in (fast, slow)}
    wait_until(lambda: slice_ns(workers["fast"]) == LONG_SLICE_NS, "it has gone on without a wait for long enough")
    # One that did not get the processor for a while looks as if it had not waited, until it waits again.
    wait_until(lambda: SHORT_SLICE_NS < slice_ns(workers["slow"]) < LONG_SLICE_NS, "the other one waits")
    assert all(psutil.Process(pid).nice() > psutil.Process(shared_server.pid).nice() for pid in workers.values())
    waiting = [one.pid for one in shared_server.descendants() if one.pid not in workers.values()]
    assert all(SHORT_SLICE_NS < slice_ns(pid) < LONG_SLICE_NS for pid in waiting)
    slices = [slice_ns(thread.id) for thread in psutil.Process(shared_server.pid).threads()]
    # One for connections, one for probes, some for each other kind of request; those of the log and of numpy are older.
    assert slices.count(SHORT_SLICE_NS) >= 8
