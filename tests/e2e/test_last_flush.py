"""What waits in a buffer when a scenario ends is sent, whatever ends it."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.live_server import STOP_SECS, LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver

ENOUGH = 20


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def launch(server: LiveServer, sink: dict[str, Any], **fields: Any) -> str:
    """Start a scenario whose buffer never fills, and wait until some events are in it."""
    entry = {
        "id": "up",
        "signal_type": "metrics",
        "name": "up",
        "rate": 100,
        "generator": {"type": "step", "step_size": 1},
        "sink": {"batch_size": 10**9, "max_buffer_age": "0s", **sink},
        **fields,
    }
    (row,) = server.launch({"version": 2, "scenarios": [entry]})
    server.wait_for_events(row["id"], ENOUGH)
    return row["id"]


def held(receiver: Receiver) -> list[int]:
    """The ticks in everything that was taken."""
    lines = []
    for body in receiver.kept:
        if body.startswith(b"{"):
            lines += [line for stream in json.loads(body)["streams"] for _, line in stream["values"]]
        else:
            lines += body.decode().splitlines()
    return [int(line.split()[1]) for line in lines]


def delete(server: LiveServer, scenario_id: str) -> None:
    assert server.delete(f"/scenarios/{scenario_id}").json()["status"] == "stopped"


def terminate(server: LiveServer, _scenario_id: str) -> None:
    assert server.stop() == 0


def terminate_the_worker(server: LiveServer, scenario_id: str) -> None:
    server.worker(scenario_id).terminate()
    server.wait_for_state(scenario_id, "finished")


def kill_the_daemon(server: LiveServer, _scenario_id: str) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(STOP_SECS)


both = pytest.mark.parametrize("kind", ["http_push", "loki"])


@both
@pytest.mark.parametrize("end", [delete, terminate_the_worker])
def test_the_rest_is_sent_when_a_scenario_ends(
    shared_server: LiveServer, receiver: Receiver, kind: str, end: Callable[[LiveServer, str], None]
) -> None:
    """One request with every event from the first on."""
    ends_with_one_request(shared_server, receiver, kind, end)


@both
@pytest.mark.parametrize("end", [terminate, kill_the_daemon])
def test_the_rest_is_sent_when_the_daemon_ends(
    server: LiveServer, receiver: Receiver, kind: str, end: Callable[[LiveServer, str], None]
) -> None:
    """Likewise, also when the daemon was killed and its workers leave alone."""
    ends_with_one_request(server, receiver, kind, end)


def ends_with_one_request(
    server: LiveServer, receiver: Receiver, kind: str, end: Callable[[LiveServer, str], None]
) -> None:
    scenario_id = launch(server, {"type": kind, "url": receiver.url})
    assert receiver.requests == []
    end(server, scenario_id)
    wait_until(lambda: receiver.kept, "the rest arrives")
    ticks = held(receiver)
    assert len(ticks) >= ENOUGH
    assert ticks == list(range(len(ticks)))
    assert len(receiver.kept) == 1


def test_a_failed_rest_is_retried_within_the_stop(shared_server: LiveServer) -> None:
    """Waits between attempts are short once it is the end, so that a receiver that stumbles still gets all."""
    with Receiver(lambda number: Answer(503) if number < 3 else Answer()) as receiver:
        retry = {"max_attempts": 10, "initial_backoff": "1h", "max_backoff": "1h"}
        scenario_id = launch(shared_server, {"type": "http_push", "url": receiver.url, "retry": retry})
        answer = shared_server.delete(f"/scenarios/{scenario_id}").json()
        assert held(receiver) == list(range(answer["total_events"]))
        assert len(receiver.requests) == 4


def test_a_failure_that_ends_the_scenario_is_its_last_request(shared_server: LiveServer) -> None:
    """Under `fail` nothing follows the failed request, and the reason stays to be read."""
    with Receiver(lambda _: Answer(500)) as receiver:
        sink = {"type": "http_push", "url": receiver.url, "batch_size": 200, "max_buffer_age": "0s"}
        entry = {
            "id": "up",
            "signal_type": "metrics",
            "name": "up",
            "rate": 100,
            "generator": {"type": "constant", "value": 1},
            "sink": sink,
            "on_sink_error": "fail",
        }
        (row,) = shared_server.launch({"version": 2, "scenarios": [entry]})
        stats = shared_server.wait_for_state(row["id"], "finished")
        assert (stats["errors"], stats["total_sink_failures"], stats["consecutive_failures"]) == (1, 1, 1)
        assert stats["last_sink_error"] == f"HTTP 500 from '{receiver.url}'"
        assert len(receiver.requests) == 1
