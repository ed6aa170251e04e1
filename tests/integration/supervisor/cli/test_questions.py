"""`new` with questions, on a real terminal."""

from pathlib import Path

import pytest

from tests.support.terminal import Terminal
from tests.support.transcripts import environment, run

ANSWERS = {
    "metrics": ["metrics", "cpu", "sine", "2.5", "30s", "file", "./cpu.prom"],
    "logs": ["logs", "app", "1", "10s", "stdout"],
    "histogram": ["histogram", "latency", "1", "10s", "stdout"],
    "summary": ["summary", "latency", "1", "10s", "http_push", "http://localhost:1/"],
}


def asked(shown: str) -> int:
    """How many questions stand on the screen."""
    return shown.count("]:") + shown.count("URL:")


@pytest.mark.parametrize("signal", sorted(ANSWERS))
def test_answers_become_a_file_that_runs(signal: str, tmp_path: Path) -> None:
    """Every question is answered; the file passes a dry run and holds the answers."""
    terminal = Terminal(["sonda", "new", "-o", "made.yaml"], tmp_path, environment(tmp_path, TERM="xterm"))
    try:
        for count, answer in enumerate(ANSWERS[signal], 1):
            terminal.wait_for(lambda shown, wanted=count: asked(shown) >= wanted, "question")
            terminal.type(f"{answer}\n")
        assert terminal.wait() == 0
        assert "wrote made.yaml" in terminal.shown()
    finally:
        terminal.close()
    text = (tmp_path / "made.yaml").read_text()
    assert f"signal_type: {signal}" in text
    assert ANSWERS[signal][1] in text
    checked = run(["sonda", "--dry-run", "run", "made.yaml"], tmp_path)
    assert checked.returncode == 0, checked.stderr


def test_a_rate_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    """Zero is refused on the spot, and Ctrl-C leaves without a file."""
    terminal = Terminal(["sonda", "new", "-o", "made.yaml"], tmp_path, environment(tmp_path, TERM="xterm"))
    try:
        for answer in ("logs", "app", "0"):
            terminal.wait_for(lambda shown: shown.rstrip().endswith("]:"), "question")
            terminal.type(f"{answer}\n")
        terminal.wait_for(lambda shown: "must be greater than zero" in shown, "error")
        terminal.type("\x03")
        assert terminal.wait() == 130
    finally:
        terminal.close()
    assert not (tmp_path / "made.yaml").exists()
