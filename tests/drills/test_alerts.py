"""`sonda test` against a real Prometheus and a real Alertmanager, with rules that fire and resolve too late."""

import re
from pathlib import Path

from tests.support.backends.levels import prometheus, scenario
from tests.support.last_sample import LastSample
from tests.support.transcripts import run


def test_what_comes_too_late_is_told_with_its_time(tmp_path: Path, level: LastSample) -> None:
    """A rule that fires after its deadline, and one that resolves after it: failed, but not as what never came.

    The pauses between two looks are long, so that none falls between a deadline and what comes after it.
    """
    server = prometheus(tmp_path, level)
    alerts = """\
    - {alert: LevelLow, firing_within: 3s}
    - {alert: HighOfLate, firing_within: 20s, resolves_within: 5s}
"""
    path = scenario(tmp_path, alerts, high=20, duration="12s")
    try:
        command = ["sonda", "test", path, "--prometheus-url", server.url, "--interval", "10s", "--query-step", "1s"]
        done = run(command, tmp_path, timeout=120)
    finally:
        server.stop()
    verdicts = [line.strip() for line in done.stderr.splitlines() if line.startswith(("  PASS", "  FAIL"))]
    assert len(verdicts) == 3, done.stderr
    fired = re.fullmatch(r"FAIL LevelLow fired after (\d+)s — later than firing_within 3s", verdicts[0])
    assert fired, done.stderr
    assert int(fired[1]) >= 5
    assert verdicts[1].startswith("PASS HighOfLate firing after ")
    resolved = re.fullmatch(r"FAIL HighOfLate resolved after (\d+)s — later than resolves_within 5s", verdicts[2])
    assert resolved, done.stderr
    assert int(resolved[1]) > 5
    assert done.stderr.splitlines()[-1] == "error: 2 alert expectation(s) failed (verified via Prometheus)"
    assert done.returncode == 1


def test_notifications_that_are_late_or_never_come_fail(tmp_path: Path, level: LastSample, alertmanager: str) -> None:
    """One arrives and is withdrawn, one arrives after its deadline, one never; the time is that of the alert itself."""
    server = prometheus(tmp_path, level, alertmanager)
    alerts = """\
    - {alert: HighOfLate, firing_within: 20s, resolves_within: 30s}
    - {alert: LevelLow, firing_within: 3s}
    - {alert: NeverEver, firing_within: 3s}
"""
    path = scenario(tmp_path, alerts, high=20, duration="12s")
    try:
        command = ["sonda", "test", path, "--alertmanager-url", f"http://{alertmanager}", "--interval", "10s"]
        done = run(command, tmp_path, timeout=120)
    finally:
        server.stop()
    verdicts = [line.strip() for line in done.stderr.splitlines() if line.startswith(("  PASS", "  FAIL"))]
    assert len(verdicts) == 4, done.stderr
    assert verdicts[0].startswith("PASS HighOfLate firing after "), done.stderr
    assert verdicts[1].startswith("PASS HighOfLate resolved after "), done.stderr
    late = re.fullmatch(r"FAIL LevelLow fired after (\d+)s — later than firing_within 3s", verdicts[2])
    assert late, done.stderr
    assert int(late[1]) >= 5
    assert verdicts[3] == "FAIL NeverEver did not fire within 3s"
    assert done.stderr.splitlines()[-1] == "error: 2 alert expectation(s) failed (verified via Alertmanager)"
    assert done.returncode == 1
