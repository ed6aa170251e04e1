"""`sondad serve --relay FILE`: two processes, one command, neither of which needs the other to live."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.exposition_reading import samples
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, REQUEST_SECS, START_SECS, STOP_SECS, LiveServer, new_session
from tests.support.polling import wait_until
from tests.support.processes import freeze, frozen, titled
from tests.support.scripted_parent import ScriptedParent, reply

SONDAD = COMMAND.replace("sonda-server", "sondad")
ENDLESS = """\
version: 2
scenarios:
  - {id: up, signal_type: metrics, name: up, rate: 200, generator: {type: constant, value: 1.0}, sink: {type: memory}}
"""


@pytest.fixture
def relay(tmp_path: Path) -> LiveRelay:
    """The relay that the daemon is to start: its configuration, its sockets."""
    return LiveRelay(tmp_path, clients_config(own()))


@pytest.fixture
def server(start_server: StartServer, relay: LiveRelay) -> LiveServer:
    server = start_server("--relay", str(relay.config), command=(SONDAD, "serve"))
    wait_for_relay(relay)
    return server


def wait_for_relay(relay: LiveRelay) -> None:
    wait_until(lambda: takes_updates(relay), "the relay takes updates")


def takes_updates(relay: LiveRelay) -> bool:
    try:
        return relay.post("agent", "123").status == 202
    except OSError:
        return False


def process_of(server: LiveServer) -> psutil.Process:
    (process,) = titled(server.descendants(), "supervisor.relay")
    return process


def ask_health(url: str) -> int:
    with new_session() as session:
        return session.get(f"{url}/relay/health", timeout=REQUEST_SECS).status_code


def test_updates_are_shown_by_the_control_plane(server: LiveServer, relay: LiveRelay) -> None:
    """What an agent reports over its Unix socket stands in the four routes, names decoded from the path."""
    assert relay.post("agent", "urn:fs:usage", b'{"status":"warn","message":"full","metrics":[]}').status == 202
    assert {row["check"] for row in server.get("/relay/checks?client=agent").json()["checks"]} == {
        "123",
        "urn:fs:usage",
    }
    for name in ("urn:fs:usage", "urn%3Afs%3Ausage"):
        assert server.get(f"/relay/checks/agent/{name}").json()["message"] == "full"
    unknown = server.get("/relay/checks/agent/none")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")
    assert "sondad_relay_check_status" in server.get("/relay/metrics").text
    health = server.get("/relay/health")
    assert health.json() == {"status": "OK", "problems": []}
    assert server.request("HEAD", "/relay/health").headers["Content-Length"] == str(len(health.content))
    refused = server.request("POST", "/relay/checks")
    assert (refused.status_code, refused.content) == (405, b"")
    assert {method.strip() for method in refused.headers["Allow"].split(",")} == {"GET", "HEAD"}
    assert server.get("/relay/none").status_code == server.get("/relay").status_code == 404


def test_both_log_as_json(start_server: StartServer, relay: LiveRelay) -> None:
    """--log-format json: every line of the daemon, of the relay and of its audit log is one object."""
    server = start_server("--relay", str(relay.config), "--log-format", "json", command=(SONDAD, "serve"))
    wait_for_relay(relay)
    assert server.stop() == 0
    records = [json.loads(line) for line in server.log().splitlines()]
    targets = {record["target"].partition("::")[0] for record in records if "target" in record}
    assert {"sonda_server", "sondad"} <= targets


def test_the_routes_need_the_key(start_server: StartServer, relay: LiveRelay) -> None:
    """They are as protected as scenarios are."""
    server = start_server("--relay", str(relay.config), "--api-key", "sesame", command=(SONDAD, "serve"))
    wait_for_relay(relay)
    assert server.get("/relay/checks").status_code == 401
    assert server.get("/relay/checks", headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert "sesame" not in str(process_of(server).environ())


def test_a_killed_relay_comes_back_and_disturbs_nothing(server: LiveServer, relay: LiveRelay) -> None:
    """While it is down its routes say so at once; scenarios run on, and its state is there again afterwards."""
    (scenario,) = server.launch(ENDLESS)
    worker = server.worker(scenario["id"])
    assert relay.post("agent", "urn:fs:usage", b'{"status":"error","metrics":[]}').status == 202
    first = process_of(server)

    def is_missed() -> bool:
        # It comes back after a second, in which a busy machine may not come to ask.
        for process in titled(server.descendants(), "supervisor.relay"):
            process.kill()
        return server.get("/relay/checks").json().get("error") == "relay_unavailable"

    wait_until(is_missed, "its routes say that it is down")
    wait_until(lambda: not first.is_running(), "the relay is gone")
    assert server.get("/health").status_code == 200
    wait_for_relay(relay)
    assert process_of(server) != first
    assert server.get("/relay/checks/agent/urn:fs:usage").json()["status"] == "error"
    seen = server.stats(scenario["id"])
    assert (seen["state"], seen["errors"]) == ("running", 0)
    assert server.worker(scenario["id"]) == worker
    server.wait_for_events(scenario["id"], seen["total_events"] + 10)
    wait_until(lambda: server.log_lines("the relay exited with code -9; starting it again in 1 s"), "the line")


def test_a_relay_that_hangs_holds_up_its_own_routes_only(server: LiveServer) -> None:
    """Stopped in its tracks, it costs each asker its second, and everybody else nothing; the daemon still ends."""
    freeze(process_of(server).pid)

    def others_came_first() -> bool:
        with ThreadPoolExecutor(8) as askers:
            asked = [askers.submit(ask_health, server.url) for _ in range(8)]
            answered = [server.get(path).status_code for path in ("/health", "/scenarios")]
            some_wait = not all(future.done() for future in asked)
            assert answered == [200, 200]
            assert {future.result() for future in asked} == {503}
        return some_wait

    wait_until(others_came_first, "others are answered while those wait")
    assert server.stop() == 0
    assert server.log_lines("the relay did not stop in time and is killed")


def test_both_stop_together_and_leave_nothing(server: LiveServer, relay: LiveRelay) -> None:
    """SIGTERM ends the relay in order: its sockets are gone, and it is not started again."""
    server.launch(ENDLESS)
    assert server.stop() == 0
    assert server.log_lines("the relay exited with code 0")
    assert not list(relay.root.glob("run/**/*.sock"))
    server.assert_nothing_left()


def test_a_relay_outlives_a_killed_control_plane(
    start_server: StartServer, server: LiveServer, relay: LiveRelay
) -> None:
    """After SIGKILL of the control plane the relay goes on, and the next control plane shows it."""
    process = process_of(server)
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait(STOP_SECS)
    try:
        assert takes_updates(relay)
        second = start_server("--relay", str(relay.config), command=(SONDAD, "serve"))
        wait_until(lambda: second.log_lines("the relay exited with code 3;"), "a second relay is refused")
        assert second.get("/relay/health").status_code == 200
    finally:
        process.terminate()
    wait_until(lambda: not process.is_running(), "the relay is gone")


def test_a_wrong_configuration_is_a_wrong_argument(tmp_path: Path) -> None:
    """Every fault of the file is said, nothing is started."""
    config = tmp_path / "relay.yaml"
    config.write_text("version: 2\nrelay: {mode: sideways, run_dir: here}\n")
    ended = subprocess.run(
        [SONDAD, "serve", "--port", "0", "--relay", str(config)], capture_output=True, timeout=START_SECS, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    faults = ended.stderr.decode()
    assert [key for key in ("version", "relay.mode", "relay.run_dir") if key not in faults] == []


def test_the_compatible_command_has_no_relay() -> None:
    """`sonda-server` takes the flags that its users know, and no others."""
    ended = subprocess.run([COMMAND, "--relay", "x"], capture_output=True, timeout=START_SECS, check=False)
    assert ended.returncode == 2
    assert b"--relay" in ended.stderr


def test_whether_the_relay_answers_is_a_metric(server: LiveServer) -> None:
    """1 while it does, 0 while it hangs; asking does not take longer than it may."""

    def up() -> float:
        return samples(server.get("/metrics?own=1").text)["sondad_relay_up"]

    assert up() == 1
    with frozen(process_of(server).pid):
        assert up() == 0
    wait_until(lambda: up() == 1, "it answers again")


def test_a_relay_that_runs_already_is_shown(start_server: StartServer, relay: LiveRelay) -> None:
    """`--relay-admin` attaches to a relay of another service: neither starts nor stops the other."""
    relay.start()
    try:
        server = start_server("--relay-admin", relay.admin_path, command=(SONDAD, "serve"))
        assert relay.post("agent", "123").status == 202
        assert [row["check"] for row in server.get("/relay/checks?status=ok").json()["checks"]] == ["123"]
        assert not titled(server.descendants(), "supervisor.relay")
        relay.kill()
        down = server.get("/relay/health")
        assert (down.status_code, down.json()["error"]) == (503, "relay_unavailable")
        relay.start()
        assert server.get("/relay/health").status_code == 200
        assert server.stop() == 0
        assert relay.post("agent", "123").status == 202
    finally:
        relay.kill()


def test_dead_letters_are_shown_page_by_page(start_server: StartServer, tmp_path: Path) -> None:
    """What the upstream refused for good, oldest first, with how many there are; bounds that are none are refused."""
    parent = ScriptedParent(lambda _: reply(404))
    checks = ", ".join(f'"c{number}": {{urn: "*"}}' for number in range(4))
    upstream = f"upstream: {{url: 'http://127.0.0.1:{parent.port}', timeout: 20s}}\n"
    (tmp_path / "relay").mkdir()
    relay = LiveRelay(tmp_path / "relay", clients_config(own(checks), rest=upstream)).start()
    try:
        server = start_server("--relay-admin", relay.admin_path, command=(SONDAD, "serve"))
        assert server.get("/relay/deadletters").json() == {"dead_letters": [], "total": 0}
        for number in range(3):
            assert relay.post("agent", f"c{number}").status == 202
        wait_until(lambda: server.get("/relay/deadletters").json()["total"] == 3, "they are refused")
        letters = server.get("/relay/deadletters").json()["dead_letters"]
        assert sorted(letter["check"] for letter in letters) == ["c0", "c1", "c2"]
        assert {(letter["client"], letter["answer"]["status"]) for letter in letters} == {("agent", 404)}
        page = server.get("/relay/deadletters?limit=1&offset=1").json()
        assert page == {"dead_letters": letters[1:2], "total": 3}
        refused = server.get("/relay/deadletters?limit=x")
        assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")
        assert relay.admin("GET", "/deadletters").json() == letters
    finally:
        relay.kill()
        parent.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a control plane of another user")
def test_the_user_of_the_control_plane_is_let_in_by_name(tmp_path: Path) -> None:
    """As both units are installed: the relay of root, the control plane of its own user."""
    root = Path(tempfile.mkdtemp(prefix="relay-"))
    root.chmod(0o755)
    config = clients_config(own(), relay='admin: {mode: "0666", allow_uids: [root, daemon]}')
    relay = LiveRelay(root, config).start()
    try:
        ask = [
            "curl",
            "-s",
            "-m",
            "10",
            "--unix-socket",
            relay.admin_path,
            "http://localhost/health",
            "-w",
            "%{http_code}",
        ]
        for user, status in (("daemon", "200"), ("nobody", "403")):
            asked = subprocess.run(ask, user=user, group=user if user == "daemon" else "nogroup", capture_output=True)
            assert asked.stdout.decode().endswith(status), asked
    finally:
        relay.kill()
        shutil.rmtree(root)


def test_one_relay_at_a_time(relay: LiveRelay) -> None:
    """Either one that the daemon runs, or one that runs already; and its path is absolute."""
    for arguments in (["--relay", "a", "--relay-admin", "/b"], ["--relay-admin", "b"]):
        ended = subprocess.run([SONDAD, "serve", *arguments], capture_output=True, timeout=START_SECS)
        assert ended.returncode == 2
        assert b"--relay-admin" in ended.stderr
