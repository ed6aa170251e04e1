"""What is left of scenarios that were started and stopped: nothing, however many there were."""

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

ENTRY = {
    "signal_type": "metrics",
    "name": "cycle",
    "rate": 1_000,
    "generator": {"type": "step", "step_size": 1},
    "sink": {"type": "memory"},
}
BODY = {"version": 2, "scenarios": [ENTRY]}


@pytest.mark.timeout(240)
def test_a_thousand_starts_and_stops_leave_no_trace(start_server: StartServer) -> None:
    """Memory, descriptors and threads of the supervisor and its template are the same after 1 000 POSTs and DELETEs."""
    server = start_server(environment={"RUST_LOG": "warn"})
    # A thousand cycles must not be bound to the state that the first ones bring about: caches, lazy imports, the pool.
    for _ in range(100):
        cycle(server)
    before = wait_until(lambda: usage(server), "a pool at rest")
    for _ in range(1_000):
        cycle(server)
    # The pool is topped up asynchronously, so what is compared is the state that it settles in.
    after = wait_until(
        lambda: (now := usage(server)) and now["descriptors"] <= before["descriptors"] + 2 and now, "descriptors"
    )
    assert after["threads"] <= before["threads"]
    assert after["bytes"] <= before["bytes"] + 4_000_000
    assert server.get("/scenarios").json() == {"scenarios": []}


def cycle(server: LiveServer) -> None:
    (row,) = server.launch(BODY)
    assert server.delete(f"/scenarios/{row['id']}").json()["status"] == "stopped"


def usage(server: LiveServer) -> dict[str, int] | None:
    """What the processes that outlive a scenario use: the daemon and what it started; workers are started by that.

    Descriptors of spares are left out, of which there may be more or fewer; None while some are being started.
    """
    workers = server.get("/daemon").json()["workers"]
    if workers["starting"]:
        return None
    daemon = psutil.Process(server.pid)
    lasting = [daemon, *daemon.children()]
    return {
        "bytes": sum(process.memory_full_info().uss for process in lasting),
        "descriptors": sum(process.num_fds() for process in lasting) - 2 * workers["spare"],
        "threads": sum(process.num_threads() for process in lasting),
    }
