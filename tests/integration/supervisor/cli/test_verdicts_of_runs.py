"""`run --expect` and `--report`, and progress on a terminal."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.terminal import Terminal
from tests.support.transcripts import environment, run

SCENARIO = """\
version: 2
kind: runnable
defaults: {rate: 20, sink: {type: memory}}
scenarios:
  - {signal_type: metrics, name: first, duration: DURATION, generator: {type: constant, value: 1}}
  - {signal_type: metrics, name: second, duration: 1s, generator: {type: constant, value: 1}}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """Two entries that end at different times."""
    (tmp_path / "two.yaml").write_text(SCENARIO.replace("DURATION", "2s"))
    return "two.yaml"


def test_a_run_that_did_what_was_expected_passes(scenario: str, tmp_path: Path) -> None:
    """Every figure can be asked for; the report says the same as JSON."""
    # Ticks that are overdue at the end on a busy machine are left out.
    expected = ["events>=2", "events<=60", "errors==0", "sink_failures==0", "bytes>0", "rate>0", "rate<=1.01"]
    expected += ["elapsed>=2s", "lateness_p50<1h", "lateness_p99>=0us"]
    flags = [word for text in expected for word in ("--expect", text)]
    done = run(["sonda", "run", scenario, *flags, "--report", "found/report.json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("  PASS ") == len(expected)
    report = json.loads((tmp_path / "found" / "report.json").read_text())
    assert (report["command"], report["passed"], report["error"]) == ("run", True, None)
    assert [check["name"] for check in report["checks"]] == expected
    assert [entry["name"] for entry in report["entries"]] == ["first", "second"]
    first, second = (entry["events"] for entry in report["entries"])
    assert 0 < first <= 40
    assert 0 < second <= 20


def test_a_figure_that_is_not_as_expected_fails_the_run(scenario: str, tmp_path: Path) -> None:
    """Exit code 1, what failed with its value, and a JUnit report that counts it."""
    flags = ["--expect", "events>100", "--expect", "errors==0", "--report", "report.xml"]
    done = run(["sonda", "-q", "run", scenario, *flags], tmp_path)
    assert done.returncode == 1
    said = r"  FAIL events>100  \(events is \d+\)\nerror: 1 of 2 expectation\(s\) of the run failed\n"
    assert re.fullmatch(said, done.stderr)
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["events>100"]


def test_progress_is_redrawn_on_a_terminal_and_leaves_a_clean_screen(tmp_path: Path) -> None:
    """Entries are redrawn in place, in colour; what remains are banners, a line for each entry, and the summary."""
    (tmp_path / "long.yaml").write_text(SCENARIO.replace("duration: DURATION, ", ""))
    terminal = Terminal(["sonda", "run", "long.yaml"], tmp_path, environment(tmp_path, TERM="xterm-256color"))
    try:
        terminal.wait_for(lambda shown: "  ~ first  events: " in shown, "progress")
        terminal.wait_for(lambda shown: "  STOPPED second  events: " in shown, "end of an entry")
        terminal.resize(70, 12)
        terminal.wait_for(lambda shown: shown.count("  ~ first  events: ") == 1, "one line in the smaller window")
        assert b"\x1b[3" in terminal.raw
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert "~ first" not in terminal.shown()
        assert "━━ run complete  scenarios: 2" in terminal.shown()
        assert terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l")
    finally:
        terminal.close()


def test_no_color_leaves_a_terminal_without_colours(scenario: str, tmp_path: Path) -> None:
    """NO_COLOR: redrawn all the same, and no colour anywhere."""
    more = {"TERM": "xterm-256color", "NO_COLOR": "1"}
    terminal = Terminal(["sonda", "run", scenario], tmp_path, environment(tmp_path, **more), columns=80, lines=5)
    try:
        assert terminal.wait() == 0
        assert not any(f"\x1b[{code}".encode() in terminal.raw for code in ("30", "31", "32", "33", "34", "35", "36"))
    finally:
        terminal.close()
