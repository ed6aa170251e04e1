"""SIGKILL of a relay at any instant, again and again: nothing that was accepted is lost."""

import json
import random
import threading
import time
import uuid
from pathlib import Path

from tests.support.live_relay import LiveRelay, clients_config, live, own, pure_config
from tests.support.polling import wait_until
from tests.support.ports import free_port

KILLS = 50
CHECKS = ", ".join(f'"c{number}": {{urn: "*"}}' for number in range(4))
BACKOFF = "timeout: 20s, backoff: {initial: 10ms, max: 50ms}"


def update(number: int, status: str = "ok") -> bytes:
    return json.dumps({"status": status, "message": str(number), "metrics": []}).encode()


class Agent(threading.Thread):
    """Posts numbered updates of one check; repeats each, with its request id, until it is accepted."""

    def __init__(self, relay: LiveRelay, check: str) -> None:
        super().__init__(daemon=True)
        self.accepted = 0
        self.stopping = False
        self._relay = relay
        self._check = check

    def run(self) -> None:
        while not self.stopping:
            number = self.accepted + 1
            headers = {"X-Request-Id": str(uuid.uuid4())}
            while not self._is_accepted(number, headers):
                time.sleep(0.002)  # the relay is down: whether the update was stored is unknown
            self.accepted = number
            time.sleep(0.001)  # keeps the run below the bound of the history

    def _is_accepted(self, number: int, headers: dict[str, str]) -> bool:
        try:
            answer = self._relay.post("agent", self._check, update(number, ("ok", "warn")[number % 2]), headers)
        except OSError:
            return False
        return answer.status == 202


def test_nothing_accepted_is_lost_over_fifty_kills(tmp_path: Path) -> None:
    """SIGKILL under load at random instants: every accepted update arrives, in order per check, and counts once."""
    port = free_port()
    rng = random.Random(11)
    (tmp_path / "child").mkdir()
    upstream = f"upstream: {{url: 'http://127.0.0.1:{port}', {BACKOFF}}}\n"
    config = clients_config(own(CHECKS, extra="max_connections: 64, "), rest=upstream)
    child = LiveRelay(tmp_path / "child", config)
    history = "  history: 10000\n"
    with live(tmp_path / "parent", pure_config(port, relay=history)) as parent:
        try:
            child.start()
            agents = [Agent(child, f"c{number}") for number in range(4)]
            for agent in agents:
                agent.start()
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.0, 0.06))
                child.kill()
                child.start()
            for agent in agents:
                agent.stopping = True
            for agent in agents:
                agent.join(60)
            wait_until(lambda: child.admin("GET", "/state").json()["spool"]["entries"] == 0, "all is forwarded", 60)
            assert child.metric('sondad_relay_spool_dropped_total{reason="overflow"}') == "0"
            assert sum(agent.accepted for agent in agents) > KILLS
            for number, agent in enumerate(agents):
                # Every update changes the status, so the history of a check holds each of them once.
                arrived = [int(entry["message"]) for entry in parent.check("agent", f"c{number}")["history"]]
                assert arrived == list(range(1, agent.accepted + 1))
                assert child.check("agent", f"c{number}")["updates"] == agent.accepted
        finally:
            child.kill()
