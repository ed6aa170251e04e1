"""The control plane over real connections: HTTP itself, limits, hung workers, races."""

import json
import re
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psutil
import pytest
import requests

from tests.conftest import StartServer
from tests.support.http_server import RawConnection
from tests.support.live_server import REQUEST_SECS, LiveServer, new_session
from tests.support.polling import wait_until
from tests.support.processes import freeze, has_ended
from tests.support.receiver import Answer, Receiver

BODY = """\
version: 2
defaults: {rate: 100, sink: {type: memory}}
scenarios: [{signal_type: metrics, name: up, generator: {type: constant, value: 1.0}}]
"""
NAMED = f"scenario_name: one-of-a-kind\n{BODY}"


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


def many(count: int) -> str:
    """A body of `count` entries."""
    entry = "  - {signal_type: metrics, name: up, generator: {type: constant, value: 1.0}}\n"
    return "version: 2\ndefaults: {rate: 100, sink: {type: memory}}\nscenarios:\n" + entry * count


def in_parallel(count: int, call: Callable[[requests.Session], requests.Response]) -> list[requests.Response]:
    """Do `call` in `count` threads at once, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def one() -> requests.Response:
        with new_session() as session:
            barrier.wait(REQUEST_SECS)
            return call(session)

    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(one) for _ in range(count)]]


def test_one_connection_serves_any_number_of_requests(server: LiveServer) -> None:
    """Requests of every kind, errors included, keep the connection alive."""
    with RawConnection(server.port) as connection:
        posted = connection.ask("POST /scenarios HTTP/1.1\nContent-Type: text/yaml", BODY.encode())
        assert posted.status == 201
        scenario_id = re.search(rb'"id":"([^"]+)"', posted.body)[1].decode()  # type: ignore[index]
        expected = [
            ("GET /health", 200),
            ("HEAD /health", 200),
            (f"GET /scenarios/{scenario_id}", 200),
            (f"HEAD /scenarios/{scenario_id}/stats", 200),
            (f"GET /scenarios/{scenario_id}/stats", 200),
            ("GET /nothing", 404),
            ("GET /scenarios/nope", 404),
            ("HEAD /scenarios/nope/stats", 404),
            ("OPTIONS /scenarios", 405),
            ("BREW /health", 405),
            ("GET /scenarios/x/metrics?limit=-1", 400),
            (f"DELETE /scenarios/{scenario_id}", 200),
        ]
        for request, status in expected:
            assert connection.ask(f"{request} HTTP/1.1").status == status, request
        assert connection.ask("POST /scenarios HTTP/1.1", b"{").status == 400


def test_requests_sent_at_once_are_answered_in_order(server: LiveServer) -> None:
    """Pipelining works across both kinds of routes, bodies included."""
    post = (
        "POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/yaml\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    )
    get = "GET /scenarios HTTP/1.1\r\nHost: localhost\r\n\r\n"
    health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with RawConnection(server.port) as connection:
        connection.send((get + post + get + health + post + get).encode())
        answers = [connection.receive() for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 201, 200, 200, 201, 200]
    assert [answers[place].body.count(b'"id"') for place in (0, 2, 5)] == [0, 1, 2]
    assert answers[3].body == b'{"status":"ok"}'


def test_an_older_client_is_served(server: LiveServer) -> None:
    """HTTP/1.0 gets its answer and the end of the connection."""
    with RawConnection(server.port) as connection:
        connection.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert connection.receive().body == b'{"status":"ok"}'
        assert connection.at_end()


def test_a_body_may_come_in_chunks_and_after_a_continue(server: LiveServer) -> None:
    """A chunked body is put together, and a client that waits for 100 Continue gets it."""
    middle = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part.encode()) for part in (BODY[:middle], BODY[middle:]))
    head = "POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/yaml\r\n"
    with RawConnection(server.port) as connection:
        connection.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n")
        assert connection.receive().status == 201
        connection.send(f"{head}Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.receive().status == 100
        connection.send(BODY.encode())
        assert connection.receive().status == 201


@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_limit_is_exact(start_server: StartServer, chunked: bool) -> None:
    """A body of the limit is compiled, one byte more is an empty 413, chunked or not."""
    server = start_server("--max-body-bytes", "2000")

    def post(size: int) -> requests.Response:
        body = BODY.encode() + b"#" * (size - len(BODY))
        return server.post_yaml(iter([body[:500], body[500:]]) if chunked else body)  # type: ignore[arg-type]

    assert post(2000).status_code == 201
    refused = post(2001)
    assert (refused.status_code, refused.content) == (413, b"")
    assert server.get("/health", data=b"x" * 5000).status_code == 200
    assert len(server.get("/scenarios").json()["scenarios"]) == 1


def test_hung_control_calls_do_not_delay_what_observes(start_server: StartServer) -> None:
    """With more hung DELETEs than control threads, health, stats and scrapes of others are answered meanwhile.

    The hung workers are killed after their grace, every DELETE says so, and the waiting calls come to their turn.
    """
    server = start_server("--max-inflight-requests", "8")
    rows = server.launch(many(10))
    watched, *hung = (row["id"] for row in rows)
    for scenario_id in hung:
        freeze(server.worker(scenario_id).pid)
    with ThreadPoolExecutor(len(hung)) as threads, new_session() as session:
        deletions: list[Future[requests.Response]] = [
            threads.submit(requests.delete, f"{server.url}/scenarios/{scenario_id}", timeout=60) for scenario_id in hung
        ]
        unhindered = 0
        while not any(deletion.done() for deletion in deletions):
            assert session.get(f"{server.url}/health").status_code == 200
            assert session.get(f"{server.url}/scenarios/{watched}/stats").json()["state"] == "running"
            assert session.get(f"{server.url}/scenarios/{watched}/metrics").status_code in (200, 204)
            assert watched in {row["id"] for row in session.get(f"{server.url}/scenarios?stats=1").json()["scenarios"]}
            assert session.get(f"{server.url}/scenarios/{watched}").json()["state"] == "running"
            unhindered += not any(deletion.done() for deletion in deletions)
        # Of the seconds that the hung workers have, a round takes some milliseconds.
        assert unhindered
        answers = [deletion.result() for deletion in deletions]
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["status"] for answer in answers] == ["force_stopped"] * len(hung)
    assert [row["id"] for row in server.get("/scenarios").json()["scenarios"]] == [watched]
    for scenario_id in hung:
        warned = lambda told=scenario_id: [line for line in server.log_lines(told) if " WARN " in line]  # noqa: E731
        wait_until(warned, "the log says that the worker was killed")


def test_a_delete_beyond_the_time_limit_is_408_and_still_happens(start_server: StartServer) -> None:
    """The scenario is gone at once, its name is free, and its worker is ended in the background."""
    server = start_server("--request-timeout", "1")
    (scenario_id,) = (row["id"] for row in server.launch(NAMED))
    worker = server.worker(scenario_id)
    freeze(worker.pid)
    answer = server.delete(f"/scenarios/{scenario_id}")
    assert (answer.status_code, answer.content) == (408, b"")
    assert server.get(f"/scenarios/{scenario_id}").status_code == 404
    server.launch(NAMED)
    wait_until(lambda: has_ended(worker), "the worker has gone")


def test_a_launch_beyond_the_time_limit_is_408_and_leaves_nothing(start_server: StartServer) -> None:
    """When no worker gets ready in time nothing is launched, then or later, and the name is free again."""
    server = start_server("--request-timeout", "1")
    (before,) = (row["id"] for row in server.launch(BODY))
    frozen = server.descendants()
    for process in frozen:
        freeze(process.pid)
    answer = server.post_yaml(NAMED)
    assert (answer.status_code, answer.content) == (408, b"")
    for process in frozen:
        with suppress(psutil.NoSuchProcess):
            process.resume()
    assert [row["id"] for row in server.get("/scenarios").json()["scenarios"]] == [before]
    (scenario_id,) = (row["id"] for row in server.launch(NAMED))
    assert [row["id"] for row in server.get("/scenarios").json()["scenarios"]] == [before, scenario_id]
    server.wait_for_events(scenario_id)


def test_of_two_equal_names_at_once_exactly_one_wins(server: LiveServer) -> None:
    """However many clients race, there is one 201, and every loser lists the winner."""
    for _ in range(5):
        answers = in_parallel(
            8, lambda session: session.post(f"{server.url}/scenarios", NAMED, headers={"Content-Type": "text/yaml"})
        )
        won = [answer for answer in answers if answer.status_code == 201]
        lost = [answer for answer in answers if answer.status_code == 409]
        assert (len(won), len(lost)) == (1, 7)
        scenario_id = won[0].json()["id"]
        for answer in lost:
            assert [row["id"] for row in answer.json()["conflicting_scenarios"]] == [scenario_id]
        assert server.delete(f"/scenarios/{scenario_id}").status_code == 200


def test_of_several_deletes_at_once_exactly_one_succeeds(server: LiveServer) -> None:
    """The others find nothing."""
    for _ in range(5):
        (row,) = server.launch(BODY)
        answers = in_parallel(6, lambda session, row=row: session.delete(f"{server.url}/scenarios/{row['id']}"))
        assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404, 404, 404]


def test_parallel_scrapes_share_the_samples_without_loss(server: LiveServer) -> None:
    """Each of a thousand samples, which the buffer holds if nobody comes to scrape, is in exactly one scrape."""
    (row,) = server.launch(
        "version: 2\ndefaults: {rate: 1000, sink: {type: memory}}\nscenarios:\n"
        "  - {signal_type: metrics, name: up, generator: {type: step, step_size: 1},\n"
        "     gap_windows: [{at: 1s, for: 1h}]}\n"
    )
    seen: list[str] = []

    def scrape() -> None:
        with new_session() as session:
            while True:
                has_all = session.get(f"{server.url}/scenarios/{row['id']}/stats").json()["total_events"] == 1000
                answer = session.get(f"{server.url}/scenarios/{row['id']}/metrics?limit=1000")
                seen.extend(answer.text.splitlines())
                if has_all:
                    return

    threads = [threading.Thread(target=scrape) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(float(line.split()[1]) for line in seen) == [float(tick) for tick in range(1000)]


def test_a_scenario_that_runs_flat_out_can_be_scraped(server: LiveServer) -> None:
    """Each scrape is a run of consecutive samples, however fast they are overwritten, and later ones follow."""
    (row,) = server.launch(
        "version: 2\ndefaults: {rate: 1000000000, sink: {type: memory}}\n"
        "scenarios: [{signal_type: metrics, name: up, generator: {type: step, step_size: 1}}]\n"
    )
    newest = -1.0
    for _ in range(20):
        target = f"/scenarios/{row['id']}/metrics?limit=1000"
        lines = wait_until(lambda target=target: server.get(target).text.splitlines(), "samples")
        values = [float(line.split()[1]) for line in lines]
        assert values == [values[0] + place for place in range(len(values))]
        assert values[0] > newest
        newest = values[-1]


def test_idle_and_half_open_connections_cost_nobody_else(server: LiveServer) -> None:
    """Hundreds of connections that send nothing, or half a request, do not keep others from being served."""
    with ExitStack() as stack:
        idle = [stack.enter_context(RawConnection(server.port)) for _ in range(300)]
        for connection in idle[::2]:
            connection.send(b"POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        assert server.get("/health").status_code == 200
        assert server.post_yaml(BODY).status_code == 201


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for a few thousand connections of the test's own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_connections_make_room_for_new_ones(many_descriptors: None, server: LiveServer) -> None:
    """However many clients keep connections open, a new one is served at once, in the place of the longest idle."""
    with ExitStack() as stack:
        idle = [stack.enter_context(RawConnection(server.port)) for _ in range(1200)]

        def first_has_gone() -> bool:
            with RawConnection(server.port) as connection:
                assert connection.ask("GET /health HTTP/1.1").status == 200
            return idle[0].has_arrived()

        wait_until(first_has_gone, "the first idle connection is closed")
        assert idle[0].at_end()
        assert idle[-1].ask("GET /health HTTP/1.1").status == 200


def test_waiting_control_calls_leave_room_for_probes(many_descriptors: None, start_server: StartServer) -> None:
    """With a thousand clients waiting for one permit, health, readiness and stats answer; then all have their turn."""
    server = start_server("--max-inflight-requests", "1", "--request-timeout", "250")
    (watched,) = (row["id"] for row in server.launch(many(1)))
    with ExitStack() as stack:
        destination = stack.enter_context(Receiver(lambda _: Answer(silent=True)))
        event = {
            "signal_type": "metrics",
            "metric": {"name": "up", "value": 1},
            "encoder": {"type": "prometheus_text"},
            "sink": {"type": "http_push", "url": destination.url},
        }
        hung = stack.enter_context(RawConnection(server.port))
        body = json.dumps(event)
        hung.send(f"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: destination.requests, "the one permit is taken")
        waiting = []
        for _ in range(1200):
            connection = stack.enter_context(RawConnection(server.port))
            # At once: one that says nothing for a second makes room for others.
            connection.send(b"DELETE /scenarios/none HTTP/1.1\r\nHost: localhost\r\n\r\n")
            waiting.append(connection)
        for path in (
            "/health",
            "/ready",
            "/scenarios",
            f"/scenarios/{watched}/stats",
            "/scenarios/metrics",
            "/metrics",
        ):
            with RawConnection(server.port) as probe:
                assert probe.ask(f"GET {path} HTTP/1.1").status == 200
        assert not any(connection.has_arrived() for connection in (hung, *waiting))
        destination.close()
        assert hung.receive().status == 502
        for connection in waiting:
            assert connection.receive().status == 404


def test_a_client_that_leaves_in_the_middle_leaves_nothing(server: LiveServer) -> None:
    """Cut requests, and answers that nobody waits for, are forgotten."""
    server.get("/health")
    descriptors = psutil.Process(server.pid).num_fds
    before = descriptors()
    for place in range(100):
        connection = RawConnection(server.port)
        connection.send(b"GET /scenarios HTTP/1.1\r\nHost: localhost\r\n\r\n"[: 10 + place])
        connection.close()
    # Spare workers that were still starting have a few.
    wait_until(lambda: descriptors() < before + 20, "the connections are closed")
    assert server.get("/scenarios").json() == {"scenarios": []}
