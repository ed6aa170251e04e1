"""Drills: probes are answered while others ask for much; each has a connection of its own, as of load balancers."""

import json
import resource
import socket
import threading
from contextlib import ExitStack
from typing import Any

from tests.support.filling import body_of, steady
from tests.support.live_server import LiveServer, new_session
from tests.support.probing import probe

CLIENTS = 16
BODIES_EACH = 2
PROBES = 100


def long_bodies() -> list[tuple[str, bytes]]:
    """Bodies of a megabyte and their types: nested, with many fields, and with entries that can be started."""
    nested = b'{"version":2,"x":[' + b",".join([b"[" * 100 + b"]" * 100] * 4975) + b"]}"
    fields = json.dumps({"version": 2, "scenarios": [{f"field{index}": index for index in range(50_000)}]}).encode()
    labels = {f"label{index}": "x" * 90 for index in range(20)}
    entries = json.dumps(body_of(*(steady(f"up{index}", labels=labels) for index in range(450)))).encode()
    return [
        ("application/json", nested),
        ("application/json", fields),
        ("application/json", entries),
        ("application/yaml", entries),
    ]


def test_probes_do_not_wait_for_long_bodies(server: LiveServer) -> None:
    """More probes are answered than bodies, although each body needs a good part of a second."""
    statuses: list[int] = []

    def post(client: int) -> None:
        bodies = long_bodies()
        with new_session() as session:
            for turn in range(BODIES_EACH):
                kind, body = bodies[(client + turn) % len(bodies)]
                url = f"{server.url}/scenarios?dry_run=true"
                answer = session.post(url, data=body, headers={"Content-Type": kind}, timeout=120)
                statuses.append(answer.status_code)

    clients = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    answered = 0
    while any(client.is_alive() for client in clients):
        probe(server)
        answered += 1
    assert len(statuses) == CLIENTS * BODIES_EACH
    assert set(statuses) == {200, 400}
    assert answered > len(statuses)


def test_probes_are_answered_beside_two_hundred_scenarios_at_full_speed(server: LiveServer) -> None:
    """And calls of the main loop: none of the processes that need all they can get keeps it from its turn."""
    greedy: dict[str, Any] = {"rate": 2e8, "isolation": "process"}
    launched = [
        one for _ in range(10) for one in server.launch(body_of(*(steady(f"up{n}", **greedy) for n in range(20))))
    ]
    for _ in range(PROBES):
        probe(server)
        probe(server, "/ready")
    assert {one["state"] for one in server.get("/scenarios").json()["scenarios"]} == {"running"}
    # With a hundredth of a processor it may not have the time to leave by itself.
    assert server.delete(f"/scenarios/{launched[0]['id']}").json()["status"] in ("stopped", "force_stopped")


def test_probes_are_answered_beside_five_thousand_idle_connections(server: LiveServer) -> None:
    """Each of these takes the place of one that has been idle for longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    try:
        with ExitStack() as stack:
            for count in range(1, 5001):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 20))
                if count % 50 == 0:
                    probe(server)
            for _ in range(PROBES):
                probe(server)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
