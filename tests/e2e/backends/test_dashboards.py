"""The files for Prometheus and Grafana, with a real Prometheus that scrapes a daemon with a relay as they say."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.backends import backend
from tests.support.backends.prometheus import Prometheus
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, LiveServer
from tests.support.polling import wait_until
from tests.support.scripted_parent import ScriptedParent, reply

EXAMPLES = Path(__file__).parents[3] / "examples"
RULES = EXAMPLES / "prometheus" / "sondad-rules.yml"
DASHBOARD = json.loads((EXAMPLES / "grafana" / "sondad.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
KEY = "for-whom-it-scrapes"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
JOBS = {"sondad", "sondad-relay", "sondad-scenarios"}
CHECKS = '"ok": {urn: "*"}, "stale": {urn: "*", ttl: 1s}, "refused": {urn: "*"}'


class Watched(NamedTuple):
    """A daemon with its relay, and the Prometheus that watches both; `found` is a scenario of that name."""

    server: LiveServer
    prometheus: Prometheus
    found: str


def launch(server: LiveServer, **fields: Any) -> str:
    """Start an entry of twenty events per second; returns its id."""
    entry = {"signal_type": "metrics", "rate": 20, "generator": {"type": "constant", "value": 7}, **fields}
    body = {"version": 2, "scenario_name": f"body of {fields['name']}", "scenarios": [entry]}
    answer = server.post(body, headers=AUTHORIZED)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def begin(server: LiveServer, relay: LiveRelay) -> str:
    """Let sinks take, reject and lose events, and checks be of every kind; returns the scenario that will be found."""
    gone = f"http://127.0.0.1:{server.port}/nothing"
    launch(server, name="rejected", sink={"type": "http_push", "url": gone, "max_buffer_age": "100ms"})
    launch(server, name="refused", sink={"type": "tcp", "address": "127.0.0.1:1"})
    for check, status in (("ok", "ok"), ("stale", "warn"), ("refused", "error")):
        body = json.dumps({"status": status, "message": check, "metrics": []}).encode()
        assert relay.post("agent", check, body).status == 202
    return launch(server, name="found", labels={"name": "its own", "room": "blue"}, sink={"type": "memory"})


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One for all tests; sinks that are rejected and fail, checks that are stale and refused."""
    root = tmp_path_factory.mktemp("watched")
    parent = ScriptedParent(lambda _: reply(404) if "/refused" in parent.received[-1][0] else reply(202))
    (root / "relay").mkdir()
    upstream = f"upstream: {{url: 'http://127.0.0.1:{parent.port}', timeout: 20s}}\n"
    relay = LiveRelay(root / "relay", clients_config(own(CHECKS), rest=upstream)).start()
    command = (COMMAND.replace("sonda-server", "sondad"), "serve")
    server = LiveServer(root, "--relay-admin", relay.admin_path, "--api-key", KEY, command=command)
    prometheus = None
    try:
        # A Prometheus looks for targets every few seconds, so that all of this is there first.
        found = begin(server, relay)
        prometheus = Prometheus(root, *scrapes_of(server, root), rule_files=[str(RULES)])
        yield Watched(server, prometheus, found)
        assert server.stop() == 0
        server.assert_nothing_left()
        assert relay.stop() == 0
    finally:
        if prometheus is not None:
            prometheus.stop()
        server.kill()
        server.close()
        relay.kill()
        parent.close()


def scrapes_of(server: LiveServer, root: Path) -> list[dict[str, Any]]:
    """The jobs of the shipped configuration: its address is replaced, and the key is added as its comment says."""
    text = (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
    assert "127.0.0.1:8080" in text
    (line,) = re.findall(r"^#   (authorization: .+)$", text, re.MULTILINE)
    key_file = root / "sondad.key"
    key_file.write_text(KEY)
    authorization = yaml.safe_load(line.replace("/etc/prometheus/sondad.key", str(key_file)))
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace(
        "refresh_interval: 15s", "refresh_interval: 1s"
    )
    jobs = yaml.safe_load(text)["scrape_configs"]
    assert isinstance(jobs, list)
    for job in jobs:
        job.update(copy.deepcopy(authorization))
        for discovery in job.get("http_sd_configs", []):
            discovery.update(copy.deepcopy(authorization))
    return jobs


def test_every_query_of_the_dashboard_returns_data(watched: Watched) -> None:
    """On a daemon whose sinks take, reject and lose events, and a relay with checks of every kind."""
    missing = dict.fromkeys(QUERIES)

    def all_have_data() -> bool:
        for query in list(missing):
            expression = query[1].replace("$__rate_interval", "30s").replace("$instance", ".*")
            if watched.prometheus.query(expression):
                del missing[query]
        return not missing

    try:
        wait_until(all_have_data, "every query returns data", 60)
    except AssertionError as error:
        raise AssertionError(f"no data: {list(missing)}") from error


def test_every_rule_is_evaluated_and_the_dead_letter_is_told(watched: Watched) -> None:
    """None has an error; what is wrong with relay and sinks becomes alerts."""
    wanted = {"SondadRelayDeadLetters", "SondadEventsRejected", "SondadCheckFailed", "SondadRelayDegraded"}

    def rules() -> list[dict[str, Any]]:
        groups = watched.prometheus.api("/api/v1/rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        active = {rule["name"] for rule in found if rule.get("state") in ("pending", "firing")}
        return found if active >= wanted and all(rule["health"] == "ok" for rule in found) else []

    shown = wait_until(rules, f"{wanted} are told", 60)
    written = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(shown) == len(written)


def test_scenarios_are_found_without_an_id_in_the_configuration(watched: Watched) -> None:
    """Each is scraped with its labels, a new one too, and a deleted one is let go; all jobs are healthy, with a key."""

    def series() -> list[dict[str, Any]]:
        return watched.prometheus.query("found")

    (found,) = wait_until(series, "the scenario is scraped", 60)
    assert found["value"][1] == "7"
    labels = {"id": watched.found, "scenario_name": "body of found", "job": "sondad-scenarios", "room": "blue"}
    assert found["metric"].items() >= labels.items()
    assert found["metric"]["name"] == "its own", "what a scenario emits wins over the label of its target"
    wait_until(lambda: {s["metric"]["job"] for s in watched.prometheus.query("up == 1")} == JOBS, "all are healthy", 30)
    assert watched.server.delete(f"/scenarios/{watched.found}", headers=AUTHORIZED).status_code == 200
    launch(watched.server, name="later", sink={"type": "memory"})
    wait_until(lambda: not series() and watched.prometheus.query("later"), "one is let go, the other scraped", 60)
    wait_until(lambda: not watched.prometheus.query("up == 0"), "its target is no longer scraped", 60)


def test_the_rules_pass_their_own_tests() -> None:
    """As those who change them run them."""
    folder = EXAMPLES / "prometheus"
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "sondad-rules-test.yml"]):
        ran = subprocess.run(
            [backend("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
