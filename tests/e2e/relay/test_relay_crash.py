"""What survives: SIGKILL at any instant, a kill between commit and answer, a full disk, a damaged store."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from supervisor.relay.ledger.store import FILE_NAME
from tests.support.live_relay import LiveRelay, clients_config, connect, live, own, read_all
from tests.support.polling import wait_until

CHECKS = ", ".join(f'"c{number}": {{urn: "*"}}' for number in range(4))


def update(number: int, status: str = "ok") -> bytes:
    return json.dumps({"status": status, "message": str(number), "metrics": []}).encode()


KILL_AFTER_COMMIT = """
import os, signal
from supervisor.relay.ledger import store
write = store.Store.write
def write_and_die(self, changes, *, sync):
    write(self, changes, sync=sync)
    if changes.states:
        os.kill(os.getpid(), signal.SIGKILL)
store.Store.write = write_and_die
from supervisor.relay.__main__ import run
run()
"""


def test_a_kill_between_commit_and_answer(tmp_path: Path) -> None:
    """The client sees no answer and repeats its request with the same id: it is accepted and counts once."""
    config = clients_config(own(CHECKS))
    headers = {"X-Request-Id": "350463BC-7F83-4E2D-8B0D-D3E515FB220D"}
    tmp_path.joinpath("relay").mkdir()
    dying = LiveRelay(tmp_path / "relay", config, program=["-c", KILL_AFTER_COMMIT])
    try:
        dying.start()
        body = update(1)
        head = f"POST /checks/c0 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with connect(dying.sock("agent")) as sock:
            sock.sendall(f"{head}X-Request-Id: {headers['X-Request-Id']}\r\n\r\n".encode() + body)
            assert read_all(sock) == b""
        assert dying.process is not None
        assert dying.process.wait(30) == -9
        # Sockets of the killed process are recognised as stale.
        assert os.path.lexists(dying.sock("agent"))
    finally:
        dying.kill()
    with live(tmp_path / "relay", config) as relay:
        assert relay.check("agent", "c0")["message"] == "1"
        assert relay.post("agent", "c0", body, headers).status == 202
        assert relay.check("agent", "c0")["updates"] == 1
        assert relay.check("agent", "c0")["transitions"] == 1


def test_a_full_disk_answers_503_and_recovers(tmp_path: Path, small_disk: Path) -> None:
    """Nothing is half done: state and spool stay as they were, the relay lives, and with room it goes on."""
    rest = "upstream: {url: 'unix:{root}/nobody.sock', backoff: {initial: 1h, max: 1h}}\n"
    config = clients_config(own(CHECKS), rest=rest).replace("'{root}/state'", f"'{small_disk}'")
    with live(tmp_path / "relay", config) as relay:
        accepted = 0
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        while (answer := relay.post("agent", "c0", update(accepted + 1))).status == 202:
            accepted += 1
            assert accepted < 5000
        assert (answer.status, answer.json()["code"]) == (503, "UnknownError")
        assert answer.headers["Retry-After"] == "1"
        assert relay.check("agent", "c0")["updates"] == accepted
        assert relay.admin("GET", "/state").json()["spool"]["entries"] == accepted
        assert relay.admin("GET", "/health").status == 503
        ballast.unlink()
        wait_until(lambda: relay.admin("GET", "/health").status == 200, "the store recovers by itself")
        assert relay.post("agent", "c0", update(accepted + 1)).status == 202
        relay.kill()
        relay.start()
        state = relay.check("agent", "c0")
        assert (state["updates"], state["message"]) == (accepted + 1, str(accepted + 1))


@pytest.mark.parametrize("damage", ["garbage", "inside", "truncated"])
def test_a_damaged_store_is_moved_aside(tmp_path: Path, damage: str) -> None:
    """The relay starts with a fresh store, keeps the damaged file, and stays degraded until that is acknowledged."""
    config = clients_config(own(CHECKS))
    root = tmp_path / "relay"
    with live(root, config) as relay:
        for number in range(50):
            assert relay.post("agent", f"c{number % 4}", update(number)).status == 202
    file = root / "state" / FILE_NAME
    raw = file.read_bytes()
    if damage == "garbage":
        file.write_bytes(b"this is no database" * 100)
    elif damage == "truncated":
        file.write_bytes(raw[: len(raw) // 2 - 100])
    else:
        file.write_bytes(raw[:4096] + b"\xa5" * (len(raw) - 4096))
    with live(root, config) as relay:
        assert list(root.glob(f"state/{FILE_NAME}.corrupt-*"))
        assert relay.admin("GET", "/ping").json()["status"] == "degraded"
        assert relay.check("agent", "c0")["status"] is None
        assert relay.post("agent", "c0", update(1)).status == 202
        assert relay.admin("POST", "/state?action=ack").status == 202
        assert relay.admin("GET", "/health").json() == {"status": "OK", "problems": []}


def test_state_history_and_counters_survive_a_restart(tmp_path: Path) -> None:
    """Latest state, transitions with their numbers, and the check counters continue where they were."""
    config = clients_config(own(CHECKS), relay="history: 3")
    with live(tmp_path / "relay", config) as relay:
        for number, status in enumerate(("ok", "warn", "warn", "error", "ok", "warn"), 1):
            assert relay.post("agent", "c0", update(number, status)).status == 202
        before = relay.check("agent", "c0")
        relay.kill()
        relay.start()
        after = relay.check("agent", "c0")
        assert after == before
        assert [entry["seq"] for entry in after["history"]] == [3, 4, 5]
        assert [(entry["from"], entry["to"]) for entry in after["history"]] == [
            ("warn", "error"),
            ("error", "ok"),
            ("ok", "warn"),
        ]
        assert after["transitions"] == 5
        assert relay.metric('sondad_relay_check_updates_total{client="agent",check="c0",status="warn"}') == "3"
        assert relay.metric('sondad_relay_check_updates_total{client="agent",check="c1",status="warn"}') == "0"


def test_a_full_spool_rejects_or_drops(tmp_path: Path) -> None:
    """At the bound `reject` answers 503 and changes nothing; after a switch to `drop_oldest` the newest gets in."""
    rest = (
        "spool: {max_entries: 3, on_full: reject}\n"
        "upstream: {url: 'unix:{root}/nobody.sock', concurrency: 1, backoff: {initial: 1h, max: 1h}}\n"
    )
    with live(tmp_path / "relay", clients_config(own(CHECKS), rest=rest)) as relay:
        for number, status in enumerate(("ok", "warn", "ok"), 1):
            assert relay.post("agent", "c0", update(number, status)).status == 202
        answer = relay.post("agent", "c0", update(4, "warn"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert relay.check("agent", "c0")["updates"] == 3
        relay.config.write_text(relay.config.read_text().replace("reject", "drop_oldest"))
        assert relay.admin("POST", "/state?action=reload").status == 202
        wait_until(lambda: relay.post("agent", "c0", update(4, "warn")).status == 202, "the newest gets in")
        assert relay.admin("GET", "/state").json()["spool"]["dropped"]["overflow"] == 1
        totals: dict[str, int] = defaultdict(int)
        totals["entries"] = relay.admin("GET", "/state").json()["spool"]["entries"]
        assert totals["entries"] == 3
