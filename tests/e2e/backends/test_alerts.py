"""`sonda test` against a real Prometheus and a real Alertmanager, with rules that fire, stay, and never do."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.backends.levels import prometheus, scenario
from tests.support.last_sample import LastSample
from tests.support.live_server import START_SECS, STOP_SECS
from tests.support.polling import wait_until
from tests.support.transcripts import environment, run


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
    # Ticks that are overdue at the end on a busy machine are left out.
    (events,) = (entry["events"] for entry in report["entries"])
    assert 24 < events <= 32


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
    command = ["sonda", "test", path, "--prometheus-url", server.url]
    options = {"cwd": tmp_path, "env": environment(tmp_path), "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        with subprocess.Popen(command, text=True, **options) as process:
            try:
                wait_until((tmp_path / "level.prom").exists, "emission", START_SECS)
                process.send_signal(number)
                _, stderr = process.communicate(timeout=STOP_SECS)
            finally:
                process.kill()
    finally:
        server.stop()
    assert process.returncode == 1
    assert "■ level  completed in" in stderr
    assert stderr.splitlines()[-1] == "error: interrupted by a signal before there was a verdict"
