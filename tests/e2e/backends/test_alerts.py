"""`sonda test` against a real Prometheus and a real Alertmanager, with rules that fire, fire too late, and never."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.backends import backend
from tests.support.backends.prometheus import Prometheus
from tests.support.backends.running import RunningProgram, free_port
from tests.support.last_sample import LastSample
from tests.support.polling import wait_until
from tests.support.transcripts import environment, run

SCENARIO = """\
version: 2
kind: runnable
defaults: {{rate: 4, duration: 8s, sink: {{type: file, path: {path}}}, labels: {{team: ours}}}}
scenarios:
  - signal_type: metrics
    name: level
    generator: {{type: sequence, values: [{values}], repeat: false}}
expect:
  alerts:
{alerts}
"""
RULES = {
    "LevelHigh": "level > 5",
    "LevelLow": "level < 5",
    "NeverEver": "level > 100",
    "AlwaysThere": "level < 100",
}


@pytest.fixture
def level(tmp_path: Path) -> Iterator[LastSample]:
    """What the scenario writes, to be scraped."""
    served = LastSample(tmp_path / "level.prom")
    yield served
    served.close()


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager; its address."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(yaml.safe_dump({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    port = free_port()
    command = [
        backend("prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    running = RunningProgram(command, tmp_path, lambda session: session.get(f"{url}/-/ready", timeout=10).ok)
    yield f"127.0.0.1:{port}"
    running.stop()


def prometheus(directory: Path, level: LastSample, alertmanager: str | None = None) -> Prometheus:
    rules = directory / "rules.yml"
    alerts = [{"alert": name, "expr": expression, "labels": {"severity": "page"}} for name, expression in RULES.items()]
    rules.write_text(yaml.safe_dump({"groups": [{"name": "levels", "rules": alerts}]}))
    scrape = {
        "job_name": "level",
        "honor_labels": True,
        "static_configs": [{"targets": [level.address]}],
    }
    more = {"rule_files": [str(rules)]}
    if alertmanager is not None:
        more["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return Prometheus(directory, scrape, **more)


def scenario(directory: Path, alerts: str) -> str:
    values = ", ".join(["9"] * 26 + ["1"] * 6)
    path = directory / "scenario.yaml"
    path.write_text(SCENARIO.format(path=directory / "level.prom", values=values, alerts=alerts))
    return str(path)


def test_rules_are_judged_by_their_series(tmp_path: Path, level: LastSample) -> None:
    """One rule fires and resolves, one fires too late, one never, one stays; each has its verdict."""
    server = prometheus(tmp_path, level)
    alerts = """\
    - {alert: LevelHigh, firing_within: 20s, resolves_within: 20s, labels: {severity: page, team: ours}}
    - {alert: LevelLow, firing_within: 1s}
    - {alert: NeverEver, firing_within: 3s, resolves_within: 1s}
    - {alert: AlwaysThere, firing_within: 20s, resolves_within: 2s}
"""
    try:
        done = run(
            [
                *("sonda", "test", scenario(tmp_path, alerts), "--prometheus-url", f"{server.url}/"),
                *("--interval", "500ms", "--query-step", "1s", "--report", "report.json"),
            ],
            tmp_path,
            timeout=120,
        )
    finally:
        server.stop()
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    verdicts = [line.strip() for line in lines if line.startswith(("  PASS", "  FAIL"))]
    assert len(verdicts) == 6, done.stderr
    assert verdicts[0].startswith("PASS LevelHigh firing after ")
    assert verdicts[0].endswith(" (within 20s)")
    assert verdicts[1].startswith("PASS LevelHigh resolved after ")
    assert verdicts[1].endswith(" (within 20s of scenario end)")
    assert verdicts[2].startswith("FAIL LevelLow ")
    assert verdicts[3] == "FAIL NeverEver did not fire within 3s"
    assert verdicts[4].startswith("PASS AlwaysThere firing after ")
    assert verdicts[5] == "FAIL AlwaysThere still firing 2s after scenario end"
    assert lines[-1] == "error: 3 alert expectation(s) failed (verified via Prometheus)"
    assert done.stdout == ""
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(check["name"], check["passed"]) for check in report["checks"]] == [
        ("LevelHigh fires", True),
        ("LevelHigh resolves", True),
        ("LevelLow fires", False),
        ("NeverEver fires", False),
        ("AlwaysThere fires", True),
        ("AlwaysThere resolves", False),
    ]
    assert [entry["events"] for entry in report["entries"]] == [32]


def test_notifications_are_judged_by_what_arrived(tmp_path: Path, level: LastSample, alertmanager: str) -> None:
    """The same scenario as the Alertmanager sees it: passed, with the note about its memory; quiet but for that."""
    server = prometheus(tmp_path, level, alertmanager)
    alerts = "    - {alert: LevelHigh, firing_within: 20s, labels: {team: ours}}\n"
    try:
        done = run(
            ["sonda", "-q", "test", scenario(tmp_path, alerts), "--interval", "500ms"],
            tmp_path,
            timeout=120,
            SONDA_ALERTMANAGER_URL=f"http://{alertmanager}",
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    assert "  PASS LevelHigh firing after " in done.stderr
    assert "keeps no queryable history" in done.stderr
    assert "live polling every 500ms" in done.stderr
    assert "range" not in done.stderr
    assert "▶" not in done.stderr
    assert "  PASS 1 alert expectation(s) verified via Alertmanager (scenario ran " in done.stderr


@pytest.mark.parametrize(("flag", "name"), [("--prometheus-url", "prometheus"), ("--alertmanager-url", "alertmanager")])
def test_a_server_that_is_not_there_ends_the_test_before_it_begins(tmp_path: Path, flag: str, name: str) -> None:
    """Nothing was emitted; the error names the server."""
    path = scenario(tmp_path, "    - {alert: LevelHigh, firing_within: 1s}\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = run(["sonda", "test", path, flag, url], tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name} preflight against {url} failed: verification error: query against ")
    assert done.stderr.endswith("failed: Connection refused (os error 111)\n")
    assert not (tmp_path / "level.prom").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_test_without_a_verdict(tmp_path: Path, level: LastSample, number: signal.Signals) -> None:
    """While the scenario runs: it ends cleanly, the exit code is 1, the error says why."""
    server = prometheus(tmp_path, level)
    path = scenario(tmp_path, "    - {alert: NeverEver, firing_within: 60s}\n")
    try:
        process = subprocess.Popen(
            ["sonda", "test", path, "--prometheus-url", server.url],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until((tmp_path / "level.prom").exists, "emission", 30)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    finally:
        server.stop()
    assert process.returncode == 1
    assert "■ level  completed in" in stderr
    assert stderr.splitlines()[-1] == "error: interrupted by a signal before there was a verdict"
