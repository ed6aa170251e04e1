"""A poor environment changes the looks of a command at most: what it prints and how it ends stay the same."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.terminal import Terminal
from tests.support.transcripts import SCRIPTS, environment, run

SCENARIO = """\
version: 2
kind: runnable
defaults: {rate: 20, duration: 500ms, sink: {type: memory}}
scenarios:
  - {signal_type: metrics, name: first, generator: {type: constant, value: 1}, labels: {city: Zürich}}
  - {signal_type: metrics, name: second, generator: {type: constant, value: 1}}
  - {signal_type: metrics, name: third, generator: {type: constant, value: 1}}
"""
COMMANDS = [
    "sonda --help",
    "sonda list",
    "sonda show if_mib",
    "sonda new --template",
    "sonda completions bash",
    "sonda --dry-run run FILE",
    "sonda --dry-run --format json run FILE",
    "sonda -q run FILE",
    "sonda frobnicate",
    "sondad validate FILE",
    "sondad run nothing.yaml",
]
PATH = f"{SCRIPTS}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file whose labels are not ASCII."""
    path = tmp_path_factory.mktemp("scenario") / "three.yaml"
    path.write_text(SCENARIO)
    return str(path)


def ended(command: str, variables: dict[str, str], cwd: str, closed: str = "") -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command of the shell."""
    done = subprocess.run(
        ["sh", "-c", f"exec {command} {closed}"], cwd=cwd, env=variables, capture_output=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_around_a_command_changes_what_it_prints(command: str, scenario: str, tmp_path: Path) -> None:
    """No home, no locale, no terminal, no stdin, and a working directory that nobody can write to."""
    words = command.replace("FILE", scenario)
    usual = run(words.split(), tmp_path, LANG="C.UTF-8", TERM="xterm")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    expected = (usual.returncode, usual.stdout.encode(), usual.stderr.encode())
    assert ended(words, {"PATH": PATH, **ascii_only}, "/proc", "<&-") == expected
    assert "Traceback" not in usual.stderr


@pytest.mark.parametrize("size", [(80, 5), (1, 1)], ids=str)
@pytest.mark.parametrize(
    ("command", "last"),
    [("sonda run FILE", "━━ run complete  scenarios: 3"), ("sonda list", "telegraf_snmp_interface")],
)
def test_the_size_of_a_window_changes_nothing_but_looks(
    command: str, last: str, size: tuple[int, int], scenario: str, tmp_path: Path
) -> None:
    """However small: the same exit code, and the whole text, wrapped by the terminal alone."""
    words = command.replace("FILE", scenario).split()
    terminal = Terminal(words, tmp_path, environment(tmp_path, TERM="xterm"), *size)
    try:
        assert terminal.wait() == 0
        assert last.encode() in terminal.raw
        assert b"Traceback" not in terminal.raw
    finally:
        terminal.close()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("sonda ")][:7])
def test_a_reader_that_leaves_ends_a_command_quietly(command: str, scenario: str, tmp_path: Path) -> None:
    """As in front of `head`: exit code 0, nothing on stderr but what the command says there anyway."""
    words = command.replace("FILE", scenario).split()
    usual = run(words, tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment(tmp_path), stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, usual.stderr)


def test_force_color_colours_where_there_is_no_terminal(scenario: str, tmp_path: Path) -> None:
    """The same text, coloured; NO_COLOR and a dumb terminal are stronger."""
    words = ["sonda", "run", scenario, "--duration", "100ms"]
    assert run(words, tmp_path, FORCE_COLOR="1").stderr.startswith("\x1b[32m[1/3] ")
    for more in ({}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, {"FORCE_COLOR": "1", "TERM": "dumb"}):
        assert "\x1b" not in run(words, tmp_path, **more).stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        ("--prometheus-url http://127.0.0.1:1", {"SONDA_ALERTMANAGER_URL": "http://127.0.0.1:1"}, "mutually exclusive"),
        ("", {"SONDA_PROMETHEUS_URL": "", "SONDA_ALERTMANAGER_URL": ""}, "pass --prometheus-url or --alertmanager-url"),
        ("", {"SONDA_PROMETHEUS_URL": "http://127.0.0.1:1"}, "prometheus preflight against http://127.0.0.1:1 failed"),
        (
            "--alertmanager-url http://127.0.0.1:1",
            {"SONDA_PROMETHEUS_URL": "", "HTTP_PROXY": "http://127.0.0.1:2"},
            "alertmanager preflight against http://127.0.0.1:1 failed",
        ),
    ],
)
def test_servers_of_a_test_may_stand_in_the_environment(
    arguments: str, variables: dict[str, str], text: str, tmp_path: Path
) -> None:
    """A variable counts like its flag, an empty one does not; proxies are not asked."""
    path = tmp_path / "expecting.yaml"
    path.write_text(SCENARIO + "expect: {alerts: [{alert: A, firing_within: 1s}]}\n")
    done = run(["sonda", "test", str(path), *arguments.split()], tmp_path, **variables)
    assert done.returncode == 1
    assert text in done.stderr
    assert "127.0.0.1:2" not in done.stderr
