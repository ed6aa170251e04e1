"""Commands for a running daemon, against a real one."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.terminal import Terminal
from tests.support.transcripts import environment, run

NAMED = """\
version: 2
scenario_name: {name}
defaults: {{rate: 20, sink: {{type: memory}}}}
scenarios:
  - {{id: a, signal_type: metrics, name: first, generator: {{type: constant, value: 1}}}}
  - {{id: b, signal_type: metrics, name: second, generator: {{type: constant, value: 2}}}}
"""
BRIEF = """\
version: 2
scenarios:
  - {id: a, signal_type: metrics, name: brief, rate: 20, duration: 300ms, sink: {type: memory},
     generator: {type: constant, value: 1}}
"""
FAULTY = """\
version: 2
scenarios:
  - {id: a, signal_type: metrics, name: first, rate: 1, frob: 2, generator: {type: constant, value: 1}}
"""
FAILING = """\
version: 2
scenarios:
  - {id: a, signal_type: metrics, name: failing, rate: 20, on_sink_error: fail, sink: {type: tcp, address: "HOST"},
     generator: {type: constant, value: 1}}
"""

REFUSED = """\
version: 2
scenarios:
  - {id: a, signal_type: metrics, name: refused, rate: 20, generator: {type: constant, value: 1},
     sink: {type: http_push, url: "http://HOST/", batch_size: 1}}
"""

Command = Callable[..., Any]


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


@pytest.fixture
def sondad(server: LiveServer, tmp_path: Path) -> Command:
    """Run `sondad` with the address of the daemon behind what is given."""

    def command(*arguments: str, stdin: str = "", **more: str) -> Any:
        url = f"http://127.0.0.1:{server.port}"
        return run(["sondad", *arguments, "--url", url], tmp_path, stdin=stdin, **more)

    return command


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Write scenario files."""

    def write(text: str, name: str = "scenario.yaml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


def test_post_prints_what_was_launched(sondad: Command, server: LiveServer, file: Callable[..., str]) -> None:
    """Ids, names and states of every entry, as a table or as JSON; they are those of the daemon."""
    table = sondad("post", file(NAMED.format(name="one")))
    assert (table.returncode, table.stderr) == (0, "")
    listed = {one["id"]: one["name"] for one in server.get("/scenarios").json()["scenarios"]}
    heading, *rows = (line.split() for line in table.stdout.splitlines())
    assert heading == ["ID", "NAME", "STATE", "FILE"]
    assert {row[0]: row[1] for row in rows} == listed
    posted = sondad("post", "-", "--json", stdin=BRIEF)
    (launched,) = json.loads(posted.stdout)
    assert launched["name"] == "brief"


def test_post_tells_every_fault_with_its_place(sondad: Command, file: Callable[..., str]) -> None:
    """A body that is refused: the file, the place and the text on stderr, nothing launched, exit code 1."""
    refused = sondad("post", file(FAULTY))
    assert refused.returncode == 1
    assert refused.stderr.startswith("scenario.yaml:3:57: scenarios[0].frob: unknown field `frob`")
    assert json.loads(sondad("ps", "--json").stdout) == []


def test_post_replaces_what_runs_under_the_name(sondad: Command, file: Callable[..., str]) -> None:
    """Without --replace a name that is taken is an error that says so; with it the old body is stopped first."""
    body = file(NAMED.format(name="mine"))
    old = {one["id"] for one in json.loads(sondad("post", body, "--json").stdout)}
    refused = sondad("post", body)
    assert refused.returncode == 1
    assert "already running" in refused.stderr
    assert "--replace" in refused.stderr
    new = {one["id"] for one in json.loads(sondad("post", body, "--replace", "--json").stdout)}
    assert {one["id"] for one in json.loads(sondad("ps", "--json").stdout)} == new
    assert not old & new


def test_post_waits_until_everything_has_finished(sondad: Command, file: Callable[..., str]) -> None:
    """--wait returns when the last entry has ended, 1 when one of them failed; what has ended has no rate any more."""
    done = sondad("post", file(BRIEF), "--wait")
    assert done.returncode == 0
    assert re.search(r"brief: finished \| events: [1-6] \| errors: 0", done.stderr)
    assert sondad("post", file(BRIEF.replace("300ms", "2s").replace("brief", "measured")), "--wait").returncode == 0
    (figures,) = json.loads(sondad("stats", "measured", "--json").stdout)
    assert figures["current_rate"] > 0
    assert "0.0/s" in sondad("stats", "measured").stdout
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    failed = sondad("post", file(FAILING.replace("HOST", address), "failing.yaml"), "--wait")
    assert failed.returncode == 1
    assert "failing: failed: " in failed.stderr
    shown = sondad("logs", "failing")
    assert address in shown.stdout


def test_ps_stats_and_stop_take_names_and_ids(sondad: Command, file: Callable[..., str]) -> None:
    """Figures of one scenario or of all; a scenario that is stopped is gone from the list."""
    posted = json.loads(sondad("post", file(NAMED.format(name="one")), "--json").stdout)
    ids = {one["name"]: one["id"] for one in posted}
    wait_until(lambda: json.loads(sondad("stats", "first", "--json").stdout)[0]["total_events"] > 0, "events")
    assert [line.split()[0] for line in sondad("stats").stdout.splitlines()] == ["NAME", "first", "second"]
    assert sondad("logs", "first").stdout.endswith("  no errors\n")
    stopped = sondad("stop", ids["first"])
    assert stopped.returncode == 0
    assert "stopped" in stopped.stdout
    assert [line.split()[1] for line in sondad("ps").stdout.splitlines()] == ["NAME", "second"]
    unknown = sondad("stats", "first")
    assert unknown.returncode == 1
    assert "no scenario 'first'" in unknown.stderr
    assert "there are: second" in unknown.stderr
    assert sondad("stop").returncode == 2
    assert sondad("stop", "--all").returncode == 0
    assert json.loads(sondad("ps", "--json").stdout) == []


def test_a_key_is_asked_for_and_sent(start_server: Callable[..., LiveServer], tmp_path: Path) -> None:
    """A daemon with a key: without one, or with a wrong one, the error names the variable."""
    server = start_server("--api-key", "secret")
    url = f"http://127.0.0.1:{server.port}"
    without = run(["sondad", "ps", "--url", url], tmp_path)
    assert without.returncode == 1
    assert "set SONDA_API_KEY" in without.stderr
    wrong = run(["sondad", "ps", "--url", url], tmp_path, SONDA_API_KEY="secrets")
    assert wrong.stderr == f"error: {url} does not accept the API key of SONDA_API_KEY\n"
    assert run(["sondad", "ps", "--url", url], tmp_path, SONDA_API_KEY="secret").returncode == 0


@pytest.mark.parametrize("command", [("ps",), ("stats",), ("stop", "--all"), ("logs", "x"), ("post", "scenario.yaml")])
def test_without_a_daemon_one_line_says_how_to_start_it(
    command: tuple[str, ...], tmp_path: Path, file: Callable[..., str]
) -> None:
    """Nobody listens: exit code 1 and one line."""
    file(BRIEF)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = run(["sondad", *command, "--url", url], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "Connection refused" in done.stderr
    assert "sondad serve" in done.stderr


def test_validate_needs_no_daemon(tmp_path: Path, file: Callable[..., str]) -> None:
    """Files are checked by the command itself; nothing is launched; every file has its verdict."""
    good, bad = file(BRIEF, "good.yaml"), file(FAULTY, "bad.yaml")
    done = run(["sondad", "validate", good, bad], tmp_path)
    assert done.returncode == 1
    assert done.stdout == "good.yaml: valid\n"
    assert "bad.yaml" in done.stderr
    assert "frob" in done.stderr
    assert run(["sondad", "validate", good], tmp_path).returncode == 0


def test_validate_asks_a_daemon_that_launches_nothing(sondad: Command, file: Callable[..., str]) -> None:
    """With --url the daemon checks: every fault with its place and hint; the list of scenarios stays empty."""
    good, bad = file(BRIEF, "good.yaml"), file(FAULTY, "bad.yaml")
    done = sondad("validate", good, bad)
    assert done.returncode == 1
    assert done.stdout == "good.yaml: valid\n"
    assert done.stderr.startswith("bad.yaml:3:57: scenarios[0].frob: unknown field `frob`")
    valid, invalid = json.loads(sondad("validate", good, bad, "--json").stdout)
    assert (valid["valid"], [one["name"] for one in valid["scenarios"]]) == (True, ["brief"])
    assert (invalid["valid"], len(invalid["faults"])) == (False, 1)
    assert json.loads(sondad("ps", "--json").stdout) == []


def test_top_shows_sorts_and_leaves_a_clean_screen(
    server: LiveServer, sondad: Command, file: Callable[..., str], tmp_path: Path
) -> None:
    """A live table on the alternate screen; keys sort it; `q` gives the old screen back."""
    sondad("post", file(NAMED.format(name="one")))
    url = f"http://127.0.0.1:{server.port}"
    terminal = Terminal(
        ["sondad", "top", "--url", url], tmp_path, environment(tmp_path, TERM="xterm-256color"), columns=100, lines=20
    )
    try:
        terminal.wait_for(lambda shown: "first" in shown and "second" in shown and "TARGET" in shown, "table")
        assert "sorted by name" in terminal.shown()
        terminal.type("r")
        terminal.wait_for(lambda shown: "sorted by rate" in shown, "order by rate")
        terminal.resize(60, 8)
        terminal.wait_for(lambda shown: "q quit" in shown, "smaller table")
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.raw.rstrip().endswith((b"\x1b[?1049l\x1b[?25h", b"\x1b[?25h\x1b[?1049l")), terminal.raw[-80:]
    finally:
        terminal.close()


@pytest.fixture
def top(server: LiveServer, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start `sondad top` on a terminal of its own."""
    started: list[Terminal] = []

    def start(columns: int = 100, lines: int = 20, of: LiveServer = server, **more: str) -> Terminal:
        command = ["sondad", "top", "--url", of.url]
        variables = environment(tmp_path, TERM="xterm-256color", **more)
        started.append(Terminal(command, tmp_path, variables, columns, lines))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def gave_back(terminal: Terminal) -> bool:
    """Whether the old screen and the cursor are shown again, after everything else that was drawn."""
    left, hidden = terminal.raw.rfind(b"\x1b[?1049l"), terminal.raw.rfind(b"\x1b[?25h")
    drawn = max(terminal.raw.rfind(b"\x1b[?1049h"), terminal.raw.rfind(b"\x1b[?25l"), terminal.raw.rfind(b"q quit"))
    return min(left, hidden) > drawn


def test_each_key_of_top_sorts_and_no_other_does_anything(
    top: Callable[..., Terminal], sondad: Command, file: Callable[..., str]
) -> None:
    """Every order has its key, the last one counts; arrows and letters without a meaning are ignored."""
    sondad("post", file(NAMED.format(name="one")))
    terminal = top(columns=160)
    terminal.wait_for(lambda shown: "sorted by name" in shown, "table")
    orders = {"r": "rate", "t": "rate below target", "e": "errors", "s": "state", "n": "name"}
    for key, order in orders.items():
        terminal.type(f"x\x1b[A{key}")
        terminal.wait_for(lambda shown, order=order: f"sorted by {order}" in shown, f"order by {order}")
    terminal.type("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize("colourless", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_top_fits_a_small_window_and_ctrl_c_gives_the_screen_back(
    top: Callable[..., Terminal], sondad: Command, file: Callable[..., str], colourless: dict[str, str]
) -> None:
    """80 columns and 5 lines: heading, one row and the keys. What fails is red, unless nobody wants colours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    sondad("post", file(REFUSED.replace("HOST", address)))
    wait_until(lambda: json.loads(sondad("stats", "refused", "--json").stdout)[0]["errors"] > 0, "errors")
    terminal = top(80, 5, **colourless)
    shown = terminal.wait_for(lambda shown: "refused" in shown and "q quit" in shown, "table")
    assert len(shown.splitlines()) <= 5
    terminal.type("\x03")
    assert terminal.wait() == 0
    assert (b"\x1b[31m" in terminal.raw) is not bool(colourless)
    assert gave_back(terminal)


def test_top_ends_with_one_line_when_the_daemon_goes(
    top: Callable[..., Terminal], start_server: Callable[..., LiveServer]
) -> None:
    """The old screen is back, with the reason on it."""
    daemon = start_server()
    daemon.launch(NAMED.format(name="one"))
    terminal = top(of=daemon)
    terminal.wait_for(lambda shown: "first" in shown, "table")
    daemon.stop()
    assert terminal.wait() == 1
    assert gave_back(terminal)
    line = terminal.raw.rpartition(b"error: ")[2]
    assert b"\x1b" not in line
    assert b"sondad serve" in line


def test_top_without_a_terminal_says_what_to_use(sondad: Command) -> None:
    """In a pipe there is nothing to redraw."""
    done = sondad("top")
    assert done.returncode == 1
    assert "sondad stats" in done.stderr


def test_retune_changes_what_runs(sondad: Command, server: LiveServer, file: Callable[..., str]) -> None:
    """Every scenario of the name; the table says from which tick on, and what is refused is said in one line."""
    sondad("post", file(NAMED.format(name="one")))
    done = sondad("retune", "first", "rate=40", "labels.zone=b", "generator.value=7", "labels.gone=null")
    assert (done.returncode, done.stderr) == (0, "")
    heading, row = (line.split() for line in done.stdout.splitlines())
    assert heading == ["ID", "NAME", "TICK", "AT"]
    detail = server.get(f"/scenarios/{row[0]}").json()
    assert (detail["config"]["rate"], detail["config"]["labels"]) == (40.0, {"zone": "b"})
    (retune,) = detail["retunes"]
    assert row[1:] == ["first", str(retune["tick"]), retune["at"]]
    (again,) = json.loads(sondad("retune", "first", "rate=40", "--json").stdout)
    assert (again["tick"], again["changes"]) == (None, {})
    for changes, said in (
        (["sink.type=stdout"], "`sink` cannot be changed while the scenario runs"),
        (["rate"], "expected FIELD=VALUE"),
        (["labels=x", "labels.a=b"], "has a value already"),
        (["rate=1", "rate=2"], "changed twice"),
    ):
        refused = sondad("retune", "first", *changes)
        assert refused.returncode == 1
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    typed = sondad("retune", "first", "rat=fast")
    assert typed.returncode == 1
    assert typed.stderr.splitlines()[1:] == ["  hint: did you mean `rate`?"]


class OlderDaemon(BaseHTTPRequestHandler):
    """Lists scenarios without figures, whatever is asked."""

    def do_GET(self) -> None:
        body = b'{"scenarios":[{"id":"1","name":"up","state":"running","elapsed_secs":1.0,"degraded":false}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_an_older_daemon_is_told_apart(tmp_path: Path) -> None:
    """A command of another version may meet one whose list has no figures."""
    with HTTPServer(("127.0.0.1", 0), OlderDaemon) as older:
        thread = threading.Thread(target=older.handle_request)
        thread.start()
        done = run(["sondad", "stats", "--url", f"http://127.0.0.1:{older.server_port}"], tmp_path)
        thread.join()
    assert done.returncode == 1
    assert "is older than this command: it lists no figures" in done.stderr
