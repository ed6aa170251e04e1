"""`sondad check` through a real relay: what it says was accepted is there."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.live_relay import LiveRelay, clients_config, live, own
from tests.support.live_server import COMMAND
from tests.support.polling import wait_until

SONDAD = COMMAND.replace("sonda-server", "sondad")
CHECKS = '"77": {urn: "urn:77"}, "urn:fs": {}'


def check(relay: LiveRelay, *arguments: str, by_environment: bool = False) -> subprocess.CompletedProcess[str]:
    where = [] if by_environment else ["--socket", relay.sock("agent")]
    environment = os.environ | {"SONDAD_SOCKET": relay.sock("agent")}
    return subprocess.run(
        [SONDAD, "check", *where, *arguments], capture_output=True, text=True, timeout=200, env=environment
    )


def plugin(output: str, code: int) -> list[str]:
    return ["--", sys.executable, "-c", f"import sys; print({output!r}); sys.exit({code})"]


def test_a_status_with_metrics_is_reported(tmp_path: Path) -> None:
    """Silently, with exit code 0, and the socket may stand in the environment."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        arguments = ["77", "--status", "warn", "--message", "slow", "--metric", "depth=5", "--metric", "lag=0.5:float"]
        ended = check(relay, *arguments, by_environment=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        shown = relay.check("agent", "77")
        assert (shown["status"], shown["message"]) == ("warn", "slow")
        assert [(metric["name"], metric["type"], metric["value"]) for metric in shown["metrics"]] == [
            ("urn:77:depth", "Integer", 5),
            ("urn:77:lag", "Float", 0.5),
        ]


@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (1, "warn"), (2, "error"), (3, "error"), (4, "error")])
def test_what_a_plugin_finds_out_is_reported(tmp_path: Path, code: int, status: str) -> None:
    """Exit code, first line and performance data; the command itself succeeds once the relay has it."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        ended = check(relay, "urn:fs", *plugin("DISK - 80% used | '/ home'=80%;90;95", code))
        assert (ended.returncode, ended.stderr) == (0, "")
        shown = relay.check("agent", "urn:fs")
        assert shown["status"] == status
        assert shown["message"].endswith("DISK - 80% used")
        assert relay.metric('sondad_relay_check_metric{client="agent",check="urn:fs",name="urn:fs:/_home"') == "80"


def test_plugins_that_cannot_run_or_hang_are_errors_of_the_check(tmp_path: Path) -> None:
    """The relay learns about it; a plugin that hangs is killed with its children."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        assert check(relay, "77", "--", "/no/such/plugin").returncode == 0
        assert relay.check("agent", "77")["message"] == "cannot run /no/such/plugin: No such file or directory"
        ended = check(relay, "77", "--plugin-timeout", "300ms", "--", "sh", "-c", "sleep 1000 & sleep 1000")
        assert ended.returncode == 0
        shown = relay.check("agent", "77")
        assert (shown["status"], shown["message"]) == ("error", "sh gave no result within 0.3 s and was killed")


def test_a_report_that_the_relay_refuses_fails_at_once(tmp_path: Path) -> None:
    """One line with status, code and reason; wrong use is exit code 2."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        ended = check(relay, "78", "--status", "ok")
        assert ended.returncode == 1
        assert "404 ResourceNotFound, 78 is not a registered check" in ended.stderr
        for arguments in (["77"], ["77", "--status", "fine"], ["77", "--status", "ok", *plugin("x", 0)]):
            assert check(relay, *arguments).returncode == 2


def test_reports_survive_kills_of_the_relay(tmp_path: Path) -> None:
    """It tries with one request id until the relay is back: each report counts exactly once."""
    relay = LiveRelay(tmp_path, clients_config(own(CHECKS))).start()
    codes: list[int] = []
    statuses = ("ok", "warn", "ok", "warn")

    def report_all() -> None:
        # On a busy machine most of the time goes into starting the relay.
        codes.extend(check(relay, "77", "--status", one, "--timeout", "10m").returncode for one in statuses)

    reporting = threading.Thread(target=report_all)
    try:
        reporting.start()
        life_secs = 0.3
        while reporting.is_alive():
            relay.kill()
            relay.start()
            reporting.join(life_secs)
            # So that a busy machine comes to an end, too.
            life_secs *= 1.2
        assert codes == [0] * len(statuses)
        assert relay.check("agent", "77")["updates"] == len(statuses)
        assert relay.stop() == 0
    finally:
        relay.kill()


def test_what_cannot_be_stored_is_not_called_accepted(tmp_path: Path, tiny_disk: Path) -> None:
    """On a full disk it tries until its time is over, and fails with the relay's reason."""
    rest = "upstream: {url: 'unix:{root}/nobody.sock', backoff: {initial: 1h, max: 1h}}\n"
    config = clients_config(own(CHECKS), rest=rest).replace("'{root}/state'", f"'{tiny_disk}'")
    with live(tmp_path / "relay", config) as relay:
        body = b'{"status":"ok","message":"%s","metrics":[]}' % (b"x" * 20_000)
        while relay.post("agent", "77", body).status == 202:
            pass
        before = relay.check("agent", "77")["updates"]
        ended = check(relay, "77", "--status", "error", "--timeout", "4s")
        assert ended.returncode == 1
        assert "not accepted within 4 s: 503 UnknownError" in ended.stderr
        assert relay.check("agent", "77")["updates"] == before


def test_a_relay_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    """With the path and the system's reason, when the time is over."""
    ended = subprocess.run(
        [SONDAD, "check", "77", "--status", "ok", "--socket", f"{tmp_path}/none.sock", "--timeout", "200ms"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "No such file or directory" in ended.stderr


def test_clients_are_stopped_and_started(tmp_path: Path) -> None:
    """Instead of a line to the notify socket by socat; what the relay answers is told."""
    with live(tmp_path, clients_config(own(CHECKS))) as relay:
        notify = f"{tmp_path}/run/notify.sock"

        def tell(what: str, client: str = "agent") -> subprocess.CompletedProcess[str]:
            arguments = [SONDAD, "check", client, what, "--socket", notify]
            return subprocess.run(arguments, capture_output=True, text=True, timeout=60)

        assert tell("--stop").returncode == 0
        wait_until(lambda: not Path(relay.sock("agent")).exists(), "the socket is gone")
        assert tell("--start").returncode == 0
        assert check(relay, "77", "--status", "ok").returncode == 0
        unknown = tell("--start", "nobody")
        assert (unknown.returncode, "error unknown client" in unknown.stderr) == (1, True)
