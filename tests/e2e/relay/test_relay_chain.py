"""Two relays, child and parent, and every way in which the parent can fail."""

import itertools
import json
import random
import ssl
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.support.live_relay import LiveRelay, clients_config, live, own, pure_config, request
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.scripted_parent import ScriptedParent, drained, reply

BACKOFF = "backoff: {initial: 20ms, max: 100ms}"
CHECKS = ", ".join(f'"c{number}": {{urn: "*"}}' for number in range(4))


def update(number: int) -> bytes:
    return json.dumps({"status": "ok", "message": str(number), "metrics": []}).encode()


def child_config(url: str, rest: str = "", upstream: str = "", timeout: str = "20s") -> str:
    upstream_line = f"upstream: {{url: '{url}', timeout: {timeout}, {BACKOFF}{', ' + upstream if upstream else ''}}}\n"
    return clients_config(own(CHECKS, extra="max_connections: 64, "), rest=upstream_line + rest)


def test_updates_arrive_at_the_parent(tmp_path: Path) -> None:
    """Status, message and metrics arrive under the client's name, with the time of the first relay."""
    port = free_port()
    with live(tmp_path / "parent", pure_config(port)) as parent:
        with live(tmp_path / "child", child_config(f"http://127.0.0.1:{port}")) as child:
            metric = b'{"name":"urn:a","type":"Float","value":7,"data":{"x":1}}'
            body = b'{"status":"warn","message":"h\xc3\xa9","metrics":%s}' % metric
            assert child.post("agent", "c1", body).status == 202
            wait_until(lambda: drained(child), "the spool is empty")
            mine, theirs = child.check("agent", "c1"), parent.check("agent", "c1")
            for field in ("status", "message", "metrics", "request_id", "origin_at"):
                assert mine[field] == theirs[field]
            assert theirs["metrics"] == [{"name": "urn:a", "type": "Float", "value": 7.0, "data": {"x": 1}}]
            assert theirs["peer"] is None
            wait_until(lambda: child.check("agent", "c1")["forward"]["last_acked_at"], "the acknowledgement is shown")


def test_a_relay_client_on_a_unix_socket_speaks_for_its_children(tmp_path: Path) -> None:
    """A child relay may be a local client of kind relay; it speaks for the names it is allowed, and no others."""
    parent_clients = own("", name="rack", extra='kind: relay, children: ["ag*"], accept_unknown: true, ')
    with live(tmp_path / "parent", clients_config(parent_clients).replace("id: child", "id: parent")) as parent:
        with live(tmp_path / "child", child_config(f"unix:{parent.sock('rack')}")) as child:
            assert child.post("agent", "c1", update(1)).status == 202
            wait_until(lambda: parent.check("agent", "c1").get("message") == "1", "the update arrives")
        refused = request(parent.sock("rack"), "POST", "/checks/x", update(1), {"X-Relay-Client": "other"})
        assert refused.status == 403


def test_the_parent_is_killed_and_restarted(tmp_path: Path) -> None:
    """While the parent is down updates wait; after its restart all of them arrive, in order for each check."""
    port = free_port()
    (tmp_path / "parent").mkdir()
    parent = LiveRelay(tmp_path / "parent", pure_config(port, relay="  history: 0\n"))
    with live(tmp_path / "child", child_config(f"http://127.0.0.1:{port}")) as child:
        try:
            parent.start()
            for number in range(1, 61):
                assert child.post("agent", f"c{number % 4}", update(number)).status == 202
                if number in (15, 40):
                    parent.kill()
                if number in (30, 55):
                    parent.start()
            wait_until(lambda: drained(child), "everything is forwarded", 60)
            for check in range(4):
                state = parent.check("agent", f"c{check}")
                assert state["message"] == str(56 + check if check else 60)
                assert state["updates"] == 15  # resent ones are recognised
        finally:
            parent.kill()


def order_is_kept(received: list[tuple[str, str, dict[str, str]]], expected: dict[str, list[int]]) -> None:
    """Assert that per check every number arrived, and its first arrivals are in order."""
    first: dict[str, list[int]] = defaultdict(list)
    for line, message, _ in received:
        check = line.split()[1].rpartition("/")[2]
        if int(message) not in first[check]:
            first[check].append(int(message))
    assert dict(first) == expected


def test_a_parent_that_fails_in_every_retriable_way(tmp_path: Path) -> None:
    """500, 503, 429, silence, garbage and cut connections: at least once, in order per check, nothing lost."""
    answers: list[bytes | None] = [
        reply(202), reply(500), reply(503, "Retry-After: 0\r\n"), reply(429), None, b"garbage\r\n\r\n", b"HTTP/1.1 2",
    ]  # fmt: skip
    rng = random.Random(4)
    parent = ScriptedParent(lambda _: rng.choice(answers) if rng.random() < 0.5 else reply(202))
    try:
        with live(tmp_path / "child", child_config(f"http://127.0.0.1:{parent.port}", timeout="1s")) as child:
            expected: dict[str, list[int]] = defaultdict(list)
            for number in range(60):
                assert child.post("agent", f"c{number % 4}", update(number)).status == 202
                expected[f"c{number % 4}"].append(number)
            wait_until(lambda: drained(child), "everything is forwarded", 60)
            order_is_kept(parent.received, expected)
    finally:
        parent.close()


def test_a_slow_parent_delays_nobody_here(tmp_path: Path) -> None:
    """Answers to agents do not wait for the parent; a silent one runs into the timeout and is tried again."""
    parent = ScriptedParent(lambda count: reply(202) if count > 2 else time.sleep(3))  # type: ignore[func-returns-value]
    try:
        with live(tmp_path / "child", child_config(f"http://127.0.0.1:{parent.port}", timeout="1s")) as child:
            for number in range(20):
                assert child.post("agent", "c0", update(number)).status == 202
            wait_until(lambda: drained(child), "everything is forwarded", 60)
            order_is_kept(parent.received, {"c0": list(range(20))})
    finally:
        parent.close()


def test_a_401_holds_everything_and_degrades_the_health(tmp_path: Path) -> None:
    """A wrong token is the operator's fault: nothing is dropped, and after the repair everything goes on."""
    port = free_port()
    (tmp_path / "token").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong\n")
    config = pure_config(port, pure=f"accept_unknown: true, token_file: '{tmp_path}/token'")
    with live(tmp_path / "parent", config) as parent:
        refused = request(("127.0.0.1", port), "POST", "/checks/x", update(1))
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        text = child_config(f"http://127.0.0.1:{port}", upstream=f"token_file: '{tmp_path}/wrong'")
        with live(tmp_path / "child", text) as child:
            assert child.post("agent", "c0", update(1)).status == 202
            wait_until(lambda: child.admin("GET", "/health").status == 503, "the health is degraded")
            assert "401" in child.admin("GET", "/health").json()["problems"][0]
            assert not drained(child)
            (tmp_path / "wrong").write_text("right\n")
            assert child.admin("POST", "/state?action=reload").status == 202
            wait_until(lambda: drained(child), "the spool is empty")
            assert child.admin("GET", "/health").status == 200
            assert parent.check("agent", "c0")["message"] == "1"


def test_a_403_holds_only_its_client(tmp_path: Path) -> None:
    """A client that the parent does not accept waits; the others go on."""
    parent_clients = own("", name="rack", extra="kind: relay, children: [agent], accept_unknown: true, ")
    with live(tmp_path / "parent", clients_config(parent_clients).replace("id: child", "id: parent")) as parent:
        config = child_config(f"unix:{parent.sock('rack')}") + f"  {own(CHECKS, name='stranger')}\n"
        with live(tmp_path / "child", config) as child:
            assert child.post("stranger", "c0", update(1)).status == 202
            wait_until(lambda: child.admin("GET", "/health").status == 503, "the health is degraded")
            for number in range(10):
                assert child.post("agent", "c0", update(number)).status == 202
            wait_until(lambda: child.admin("GET", "/state").json()["spool"]["entries"] == 1, "the others are sent")
            assert parent.check("agent", "c0")["message"] == "9"


def test_a_refused_update_becomes_a_dead_letter_and_blocks_nobody(tmp_path: Path) -> None:
    """A final answer removes the entry; it can be read with its answer, and the next one of its check follows."""
    parent = ScriptedParent(lambda count: reply(404) if count == 1 else reply(202))
    try:
        with live(tmp_path / "child", child_config(f"http://127.0.0.1:{parent.port}")) as child:
            for number in (1, 2):
                assert child.post("agent", "c0", update(number)).status == 202
            wait_until(lambda: drained(child), "the spool is empty")
            (letter,) = child.admin("GET", "/deadletters").json()
            assert (letter["update"]["message"], letter["answer"]["status"]) == ("1", 404)
            assert parent.received[1][1] == "2"
            assert child.metric('sondad_relay_forwarded_total{result="rejected"}') == "1"
    finally:
        parent.close()


def test_relays_in_a_ring_do_not_loop(tmp_path: Path) -> None:
    """Each relay adds its id; the one that meets its own refuses, so the update ends as a dead letter."""
    ports = free_port(), free_port()
    first = pure_config(ports[0], rest=f"upstream: {{url: 'http://127.0.0.1:{ports[1]}', {BACKOFF}}}\n")
    second = pure_config(ports[1], rest=f"upstream: {{url: 'http://127.0.0.1:{ports[0]}', {BACKOFF}}}\n")
    with live(tmp_path / "a", first.replace("id: parent", "id: a")) as a:
        with live(tmp_path / "b", second.replace("id: parent", "id: b")) as b:
            assert request(("127.0.0.1", ports[0]), "POST", "/checks/x", update(1)).status == 202
            wait_until(lambda: len(b.admin("GET", "/deadletters").json()) == 1, "the loop is refused")
            assert drained(a)


def test_the_same_request_id_counts_once(tmp_path: Path) -> None:
    """A resent update is answered like the first and changes nothing; other content under the same id is refused."""
    with live(tmp_path / "relay", clients_config(own(CHECKS))) as relay:
        headers = {"X-Request-Id": "350463bc-7f83-4e2d-8b0d-d3e515fb220d"}
        for _ in range(3):
            assert relay.post("agent", "c0", update(1), headers).status == 202
        assert relay.check("agent", "c0")["updates"] == 1
        assert relay.metric('sondad_relay_duplicates_total{client="agent"}') == "2"
        conflict = relay.post("agent", "c0", update(2), headers)
        assert conflict.json() == {
            "code": "InvalidArgument",
            "message": "request id reused with different content",
        }
        assert relay.post("agent", "c1", update(2), headers).status == 202
        relay.kill()
        relay.start()
        assert relay.post("agent", "c0", update(1), headers).status == 202
        assert relay.check("agent", "c0")["updates"] == 1


def test_racing_duplicates_are_applied_once(tmp_path: Path) -> None:
    """Of requests with one id that arrive together exactly one is applied, and all are accepted."""
    with live(tmp_path / "relay", clients_config(own(CHECKS, extra="max_connections: 64, "))) as relay:
        headers = {"X-Request-Id": "350463BC-7F83-4E2D-8B0D-D3E515FB220D"}
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(relay.post("agent", "c0", update(1), headers).status))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [202] * 16
        assert relay.check("agent", "c0")["updates"] == 1


def test_https_is_verified_against_the_configured_authority(tmp_path: Path) -> None:
    """A parent with a certificate of an unknown authority gets nothing; with `ca_file` it gets everything."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    parent = ScriptedParent(lambda _: reply(202), tls)
    try:
        config = child_config(f"https://localhost:{parent.port}")
        with live(tmp_path / "child", config) as child:
            assert child.post("agent", "c0", update(1)).status == 202
            wait_until(
                lambda: "CERTIFICATE_VERIFY_FAILED" in str(child.admin("GET", "/state").json()["upstream"]), "refused"
            )
            assert parent.received == []
            trusted = config.replace("timeout: 20s", f"timeout: 20s, ca_file: '{certificate}'")
            child.config.write_text(trusted.replace("{root}", str(child.root)))
            assert child.admin("POST", "/state?action=reload").status == 202
            wait_until(lambda: drained(child), "the update is forwarded")
            order_is_kept(parent.received, {"c0": [1]})
    finally:
        parent.close()


def test_only_transitions_are_forwarded(tmp_path: Path) -> None:
    """With `forward: transitions` an update of equal status stays here, over a restart too; every change goes up."""
    parent = ScriptedParent(lambda _: reply(202))
    config = child_config(f"http://127.0.0.1:{parent.port}", upstream="forward: transitions, heartbeat: 1h")
    try:
        with live(tmp_path / "child", config) as child:
            for message, status in enumerate(("ok", "ok", "warn", "warn", "ok", "ok")):
                body = {"status": status, "message": str(message), "metrics": []}
                assert child.post("agent", "c0", json.dumps(body).encode()).status == 202
                if message == 3:
                    wait_until(lambda: drained(child), "the spool is empty")
                    child.kill()
                    child.start()
            assert child.post("agent", "c1", update(1)).status == 202
            wait_until(lambda: drained(child), "the spool is empty")
            order_is_kept(parent.received, {"c0": [0, 2, 4], "c1": [1]})
            assert (child.check("agent", "c0")["message"], child.check("agent", "c0")["updates"]) == ("5", 6)
    finally:
        parent.close()


def test_the_latest_state_is_refreshed_each_heartbeat(tmp_path: Path) -> None:
    """With `forward: transitions` an update of equal status goes up when the last one sent is older than that."""
    parent = ScriptedParent(lambda _: reply(202))
    config = child_config(f"http://127.0.0.1:{parent.port}", upstream="forward: transitions, heartbeat: 1s")
    posted = 0

    def refreshed() -> bool:
        nonlocal posted
        posted += 1
        assert child.post("agent", "c0", update(posted)).status == 202
        return len(parent.received) >= 3

    try:
        with live(tmp_path / "child", config) as child:
            wait_until(refreshed, "the state is refreshed twice")
        accepted_ms = [int(headers["X-Relay-Time"]) for _, _, headers in parent.received]
        assert all(later - earlier >= 1000 for earlier, later in itertools.pairwise(accepted_ms))
    finally:
        parent.close()
