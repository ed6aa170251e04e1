"""Drills: parents of every kind, a full disk that drains, reloads under load. Nothing is lost, nothing ends a relay."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.live_relay import LiveRelay, clients_config, connect, live, own, pure_config, read_all, request
from tests.support.polling import wait_until
from tests.support.scripted_parent import Answer, ScriptedParent, drained, reply

CHECKS = ", ".join(f'"c{number}": {{urn: "*"}}' for number in range(4))
BACKOFF = "backoff: {initial: 10ms, max: 50ms}"


def update(number: int, pad: str = "") -> bytes:
    return json.dumps({"status": "ok", "message": f"{number}{pad}", "metrics": []}).encode()


def child_config(port: int, timeout: str = "20s") -> str:
    upstream = f"upstream: {{url: 'http://127.0.0.1:{port}', timeout: {timeout}, {BACKOFF}}}\n"
    return clients_config(own(CHECKS, extra="max_connections: 64, "), rest=upstream)


def trickle(piece: bytes, start: bytes = b"") -> Callable[[socket.socket], None]:
    """Send `piece` again and again until the relay has had enough."""

    def send(sock: socket.socket) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(piece)
            time.sleep(0.02)

    return send


def flood(piece: bytes, start: bytes = b"") -> bytes:
    return start + piece * ((4 << 20) // len(piece))


def silence(sock: socket.socket) -> None:
    sock.recv(1)


OK = b"HTTP/1.1 202 Accepted\r\n"
LATER = b"HTTP/1.1 503 Later\r\n"
HOSTILE: dict[str, Answer] = {
    "closes at once": None,
    "is silent": silence,
    "speaks another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "sends binary": bytes(range(256)) * 10,
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of five digits": b"HTTP/1.1 20200 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 042 OK\r\n\r\n",
    "an unknown version": b"HTTP/9.9 202 OK\r\n\r\n",
    "a header without end": flood(b"X-A: b\r\n", LATER),
    "a header line without end": flood(b"x", LATER + b"X: "),
    "a header that trickles": trickle(b"X-A: b\r\n", LATER),
    "interim answers without end": flood(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim answers that trickle": trickle(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "a huge Retry-After": reply(503, "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n"),
    "a Retry-After of the year 1": reply(503, "Retry-After: Mon, 01 Jan 0001 00:00:00 -2359\r\n"),
    "a Retry-After in a strange zone": reply(503, "Retry-After: Mon, 01 Jan 2030 00:00:00 +9999999999\r\n"),
    "a Retry-After in other digits": reply(429, "Retry-After: \xb2\r\n"),
    "a negative Retry-After": reply(503, "Retry-After: -5\r\n"),
    "a body shorter than its length": LATER + b"Content-Length: 100\r\n\r\nshort",
    "a length that is no number": LATER + b"Content-Length: many\r\n\r\n",
    "chunks that are none": LATER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a body that trickles": trickle(b"x", LATER + b"\r\n"),
    "trailers without end": flood(b"X-A: b\r\n", LATER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a redirection": b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
}


def test_hostile_parents_lose_nothing_and_end_nothing(tmp_path: Path) -> None:
    """Whatever a parent answers, the relay lives, tries again, and delivers in order once the parent is well."""
    answers = list(HOSTILE.values())
    parent = ScriptedParent(lambda count: answers[count - 1] if count <= len(answers) else reply(202))
    try:
        with live(tmp_path / "child", child_config(parent.port, timeout="700ms")) as child:
            for number in range(8):
                assert child.post("agent", f"c{number % 4}", update(number)).status == 202
            wait_until(lambda: drained(child), "everything is delivered", 60)
            assert len(parent.received) > len(answers)
            assert child.admin("GET", "/ping").json()["status"] == "OK"
            assert "Traceback" not in child.log()
            order = defaultdict(list)
            for line, message, _ in parent.received:
                if message not in order[line]:
                    order[line].append(message)
            assert sorted(order.values()) == [[str(number), str(number + 4)] for number in range(4)]
    finally:
        parent.close()


@pytest.mark.parametrize("kind", ["a huge Retry-After", "a header without end", "interim answers without end"])
def test_a_relay_starts_with_what_a_hostile_parent_left(tmp_path: Path, kind: str) -> None:
    """Also after a restart, when the entry that meets that answer is the first thing there is to do."""
    parent = ScriptedParent(lambda _: HOSTILE[kind])
    try:
        with live(tmp_path / "child", child_config(parent.port, timeout="700ms")) as child:
            assert child.post("agent", "c0", update(1)).status == 202
            wait_until(lambda: len(parent.received) > 2, "it is tried again")
            child.kill()
            tried = len(parent.received)
            child.start()
            wait_until(lambda: len(parent.received) > tried + 2, "it is tried again after the restart")
            parent.answer = lambda _: reply(202)
            wait_until(lambda: drained(child), "it is delivered")
    finally:
        parent.close()


def test_a_disk_filled_by_the_spool_drains_without_a_restart(tmp_path: Path, tiny_disk: Path) -> None:
    """Everything accepted is delivered when the parent is back, and then the relay takes updates again."""
    down = True
    parent = ScriptedParent(lambda _: reply(503) if down else reply(202))
    config = child_config(parent.port).replace("'{root}/state'", f"'{tiny_disk}'")
    try:
        with live(tmp_path / "relay", config) as relay:
            accepted = 0
            while relay.post("agent", f"c{accepted % 4}", update(accepted, "x" * 800)).status == 202:
                accepted += 1
                assert accepted < 5000
            assert accepted > 50
            assert relay.admin("GET", "/health").status == 503
            down = False
            parent.received.clear()
            wait_until(lambda: drained(relay), "the spool is empty", 60)
            assert {message.rstrip("x") for _, message, _ in parent.received} >= set(map(str, range(accepted)))
            wait_until(lambda: relay.post("agent", "c0", update(accepted)).status == 202, "updates are taken again", 60)
            wait_until(lambda: relay.admin("GET", "/health").status == 200, "all is well")
            relay.kill()
            relay.start()
            wait_until(lambda: drained(relay), "nothing old is left")
    finally:
        parent.close()


def test_a_shared_relay_id_shows(tmp_path: Path) -> None:
    """Child and parent of one id lose every update to the loop check: health, log and series say so until `ack`."""
    with live(tmp_path / "parent", pure_config(0, relay="")) as parent:
        wait_until(lambda: "listening on 127.0.0.1 port" in parent.log(), "the parent tells its port")
        port = int(parent.log().split("listening on 127.0.0.1 port ")[1].split()[0])
        config = child_config(port).replace("id: child", "id: parent")
        with live(tmp_path / "child", config) as child:
            assert child.post("agent", "c0", update(1)).status == 202
            wait_until(lambda: child.metric("sondad_relay_dead_letters") == "1", "the update is a dead letter")
            (problem,) = child.admin("GET", "/health").json()["problems"]
            assert "1 updates rejected for good" in problem
            assert "is relay.id parent also the id of a parent?" in problem
            child.wait_for_log("is relay.id parent also the id of a parent?")
            child.kill()
            child.start()
            assert child.admin("GET", "/health").status == 503
            assert child.admin("POST", "/state?action=ack").status == 202
            wait_until(lambda: child.admin("GET", "/health").status == 200, "acknowledged")
            assert child.metric("sondad_relay_dead_letters") == "1"
            assert len(child.admin("GET", "/deadletters").json()) == 1


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_store_that_is_moved_away_takes_nothing_more(tmp_path: Path, suffix: str) -> None:
    """A 202 would be a lie: no restart finds that file. Health and log say which one, until it is back."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        assert relay.post("agent", "c0", update(1)).status == 202
        file = tmp_path / "state" / f"relay.db{suffix}"
        file.rename(f"{file}.old")
        assert relay.post("agent", "c0", update(2)).status == 503
        health = relay.admin("GET", "/health")
        assert health.status == 503
        assert f"{file} was moved away" in health.body.decode()
        relay.wait_for_log(f"{file} was moved away")
        os.rename(f"{file}.old", file)
        wait_until(lambda: relay.post("agent", "c0", update(3)).status == 202, "it is written again")
        relay.kill()
        relay.start()
        assert relay.check("agent", "c0")["message"] == "3"
        assert relay.admin("GET", "/health").status == 200


def test_the_series_of_a_removed_client_go(tmp_path: Path) -> None:
    """A removed client's own series go with it; those of others stay."""
    config = clients_config(own() + "\n" + own(name="other"))
    with live(tmp_path, config) as relay:
        for name in ("agent", "other"):
            assert relay.post(name, "123").status == 202
            assert relay.metric(f'sondad_relay_requests_total{{client="{name}",code="202"}}') == "1"
        relay.config.write_text(clients_config(own()).replace("{root}", str(tmp_path)))
        assert relay.admin("POST", "/state?action=reload").status == 202
        wait_until(lambda: b'client="other"' not in relay.admin("GET", "/metrics").body, "its series are gone")
        assert relay.metric('sondad_relay_requests_total{client="agent",code="202"}') == "1"


class Reporter(threading.Thread):
    """Posts updates of one check one after the other and keeps what came back."""

    def __init__(self, relay: LiveRelay, check: str) -> None:
        super().__init__(daemon=True)
        self.statuses: list[int] = []
        self.stopping = False
        self._relay = relay
        self._check = check

    def run(self) -> None:
        while not self.stopping:
            answer = request(self._relay.sock("agent"), "POST", f"/checks/{self._check}", update(len(self.statuses)))
            self.statuses.append(answer.status)


def test_reloads_under_load_lose_nothing(tmp_path: Path) -> None:
    """25 reloads that add, remove and move clients, every third of them faulty, while four agents report."""
    parent = ScriptedParent(lambda _: reply(202))

    def config(number: int) -> str:
        others = "\n".join(own(name=f"other{(number + at) % 30}") for at in range(20))
        clients = own(CHECKS, extra=f"max_connections: {64 + number}, ") + "\n" + others
        upstream = f"upstream: {{url: 'http://127.0.0.1:{parent.port}', timeout: 20s, {BACKOFF}}}\n"
        return clients_config(clients, rest=upstream).replace("{root}", str(tmp_path))

    try:
        with live(tmp_path, config(0)) as relay:
            reporters = [Reporter(relay, f"c{number}") for number in range(4)]
            for reporter in reporters:
                reporter.start()
            for number in range(1, 26):
                faulty = number % 3 == 0
                relay.config.write_text(config(number) + ("other: 1\n" if faulty else ""))
                answer = relay.admin("POST", "/state?action=reload")
                assert answer.status == (409 if faulty else 202)
                if faulty:
                    assert "other: unknown field" in answer.json()["message"]
            for reporter in reporters:
                reporter.stopping = True
            for reporter in reporters:
                reporter.join(60)
                assert set(reporter.statuses) == {202}
            wait_until(lambda: drained(relay), "everything is forwarded", 60)
            order = defaultdict(list)
            for line, message, _ in parent.received:
                order[line].append(int(message))
            assert sorted(map(len, order.values())) == sorted(len(reporter.statuses) for reporter in reporters)
            assert all(numbers == sorted(numbers) for numbers in order.values())
            assert relay.metric('sondad_relay_reloads_total{result="ok"}') == "17"
            assert relay.metric('sondad_relay_reloads_total{result="error"}') == "8"
            assert "Traceback" not in relay.log()
    finally:
        parent.close()


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_reload_with_certificates_that_are_none_changes_nothing(tmp_path: Path, by_signal: bool) -> None:
    """The running configuration stays in force, and whoever asked is told what is wrong with the new one."""
    with live(tmp_path, clients_config(own())) as relay:
        (tmp_path / "ca.pem").write_text("garbage")
        upstream = f"upstream: {{url: 'https://127.0.0.1:9', ca_file: {tmp_path}/ca.pem}}\n"
        relay.config.write_text(clients_config(own(), rest=upstream).replace("{root}", str(tmp_path)))
        if by_signal:
            assert relay.process is not None
            relay.process.send_signal(signal.SIGHUP)
            relay.wait_for_log(f"cannot use {tmp_path}/ca.pem")
        else:
            answer = relay.admin("POST", "/state?action=reload")
            assert (answer.status, answer.json()["code"]) == (409, "InvalidArgument")
            assert f"cannot use {tmp_path}/ca.pem" in answer.json()["message"]
        assert relay.post("agent", "123").status == 202
        assert relay.admin("GET", "/state").json()["upstream"] is None


def test_two_clients_swap_their_sockets_in_one_reload(tmp_path: Path) -> None:
    """Each listens where the other did, and a third one where nobody does any more."""
    clients = "\n".join(
        own(f'"of-{name}": {{urn: "*"}}', name=name, extra=f"socket: '{{root}}/run/clients/{name}1.sock', ")
        for name in ("a", "b", "c")
    )
    with live(tmp_path, clients_config(clients)) as relay:
        moved = relay.config.read_text()
        for old, new in (("a1.sock", "x"), ("b1.sock", "a1.sock"), ("c1.sock", "b1.sock"), ("x", "c1.sock")):
            moved = moved.replace(f"clients/{old}", f"clients/{new}")
        relay.config.write_text(moved)
        assert relay.admin("POST", "/state?action=reload").status == 202
        for socket_name, client in (("a1", "b"), ("b1", "c"), ("c1", "a")):
            path = f"{tmp_path}/run/clients/{socket_name}.sock"
            assert request(path, "POST", f"/checks/of-{client}", update(1)).status == 202
        assert relay.admin("GET", "/health").status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a read-only mount")
def test_a_read_only_directory_of_sockets_ends_nothing(tmp_path: Path) -> None:
    """A stop and a new mode cannot be carried out on the file; the relay says so and heals when it can again."""
    with live(tmp_path, clients_config(own() + "\n" + own(name="other"))) as relay:
        folder = tmp_path / "run" / "clients"
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
            with connect(f"{tmp_path}/run/notify.sock") as sock:
                sock.sendall(b"other:stop")
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b"ok\n"
            changed = relay.config.read_text().replace("agent: {", 'agent: {mode: "0666", ')
            relay.config.write_text(changed)
            assert relay.admin("POST", "/state?action=reload").status == 202
            assert "Read-only file system" in relay.admin("GET", "/health").body.decode()
            assert relay.post("agent", "123").status == 202
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
        assert relay.admin("POST", "/state?action=reconcile").status == 202
        assert relay.admin("GET", "/health").status == 200
        assert os.stat(relay.sock("agent")).st_mode & 0o777 == 0o666
        (folder / "other.sock").unlink()


def test_a_reload_of_many_clients_holds_up_no_update(tmp_path: Path) -> None:
    """Updates are answered while thousands of clients are added, and again while they are removed."""
    others = "".join(f"\n  other-{number}: {{uid: {number + 1000}}}" for number in range(3000))
    (tmp_path / "relay").mkdir()
    with live(tmp_path / "relay", clients_config(own(CHECKS))) as relay:
        few = relay.config.read_text()
        for text in (few.rstrip() + others + "\n", few):
            relay.config.write_text(text)
            answers: list[int] = []
            asking = threading.Thread(
                target=lambda answers=answers: answers.append(relay.admin("POST", "/state?action=reload").status)
            )
            asking.start()
            answered = 0
            while not answers:
                assert relay.post("agent", "c0", update(answered)).status == 202
                answered += 1
            asking.join()
            assert answers == [202]
            assert answered > 2, "an update waited for the whole reload"
            assert len(relay.admin("GET", "/state").json()["clients"]) == text.count("uid:")
