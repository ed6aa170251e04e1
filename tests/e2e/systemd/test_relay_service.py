"""The relay's unit on a real systemd: as root with few privileges it serves clients of other users."""

import json
from typing import Any

import pytest

from tests.e2e.systemd.test_service import ask, exposure
from tests.support.polling import wait_until
from tests.support.systemd.machine import ROOT, Machine

CONFIG = """
version: 1
relay: {id: rack4}
clients:
  agent:
    uid: 2
    checks: {"urn:fs:usage": {}}
"""
ADMITTING = '{id: rack4, admin: {mode: "0666", allow_uids: [root, sondad]}}'
PARENT_PORT = 8190
PARENT = f"""
version: 1
relay:
  id: parent
  run_dir: /srv/parent/run
  state_dir: /srv/parent/state
  mode: pure
  pure: {{listen: "127.0.0.1:{PARENT_PORT}", accept_unknown: true}}
"""
SOCKET = "/run/sondad/relay/clients/agent.sock"
UNIX = """
import http.client, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(sys.argv[1])
client = Unix("localhost")
"""
READ = f"""{UNIX}
client.request("GET", sys.argv[2])
print(client.getresponse().read().decode())
"""
REPORT = f"""{UNIX}
body, headers = b'{{"status":"ok","metrics":[]}}', {{"Content-Type": "application/json"}}
client.request("POST", "/checks/urn:fs:usage", body, headers)
print(client.getresponse().status)
"""


@pytest.fixture
def relay(machine: Machine) -> Machine:
    machine.write("/etc/sondad/relay.yaml", CONFIG)
    machine.run("systemctl", "start", "sondad-relay")
    assert machine.show("sondad-relay", "ActiveState") == "active"
    return machine


def report(machine: Machine) -> str:
    """Report a status as user bin; returns the status of the answer."""
    return machine.run("setpriv", "--reuid=2", "--clear-groups", "python3", "-c", REPORT, SOCKET).stdout.strip()


def read(machine: Machine, socket: str, path: str) -> Any:
    """Return what the admin socket of a relay answers."""
    return json.loads(machine.run("python3", "-c", READ, socket, path).stdout)


def test_a_client_of_another_user_is_served(relay: Machine) -> None:
    """Its socket belongs to it; after a restart of the service its state is there again."""
    relay.wait_for_journal("sondad-relay", "/etc/sondad/relay.yaml: relay rack4; clients: 1, checks: 1")
    assert relay.shell(f"stat -c %u {SOCKET}").strip() == "2"
    assert report(relay) == "202"
    relay.run("systemctl", "restart", "sondad-relay")
    assert report(relay) == "202"
    relay.run("systemctl", "stop", "sondad-relay")
    assert relay.show("sondad-relay", "ExecMainStatus") == "0"


def test_a_reload_changes_nothing_when_it_is_faulty(relay: Machine) -> None:
    """The configuration that runs stays, the journal says why; a good one is taken."""
    relay.write("/etc/sondad/relay.yaml", CONFIG + "bogus: 1\n")
    assert relay.run("systemctl", "reload", "sondad-relay", check=False).returncode != 0
    relay.wait_for_journal("sondad-relay", "bogus")
    assert report(relay) == "202"
    relay.write("/etc/sondad/relay.yaml", CONFIG.replace("agent:", "other:"))
    relay.run("systemctl", "reload", "sondad-relay")
    other = SOCKET.replace("agent", "other")
    wait_until(lambda: relay.run("test", "-S", other, check=False).returncode == 0, "the new client has a socket", 30)


def test_a_wrong_configuration_is_not_tried_again(machine: Machine) -> None:
    """Every fault is in the journal, and the unit has failed for good, the check before the start included."""
    machine.write("/etc/sondad/relay.yaml", CONFIG + "bogus: 1\n")
    assert machine.run("systemctl", "start", "sondad-relay", check=False).returncode != 0
    assert machine.show("sondad-relay", "NRestarts") == "0"
    machine.wait_for_journal("sondad-relay", "bogus")


def test_the_control_plane_shows_the_relay(relay: Machine) -> None:
    """With the two changes of docs/relay.md user sondad reads what the relay of root holds; each minds its own."""
    relay.write("/etc/sondad/relay.yaml", CONFIG.replace("{id: rack4}", ADMITTING))
    relay.run("systemctl", "restart", "sondad-relay")
    relay.write(
        "/etc/systemd/system/sondad.service.d/relay.conf",
        "[Service]\nExecStart=\nExecStart=/opt/sondad/.venv/bin/sondad serve "
        "--relay-admin /run/sondad/relay/admin.sock\n",
    )
    relay.run("systemctl", "daemon-reload")
    relay.run("systemctl", "start", "sondad")
    assert report(relay) == "202"
    shown = lambda: ask(relay, "GET", "/relay/checks/agent/urn:fs:usage")  # noqa: E731
    assert shown()["status"] == "ok"
    relay.run("systemctl", "stop", "sondad-relay")
    assert ask(relay, "GET", "/relay/checks", check=False).startswith("503 ")
    relay.run("systemctl", "start", "sondad-relay")
    wait_until(lambda: shown()["status"] == "ok", "the relay is shown again", 30)
    assert [relay.show(unit, "NRestarts") for unit in ("sondad", "sondad-relay")] == ["0", "0"]


def test_both_services_beside_each_other(relay: Machine) -> None:
    """Starting and stopping one leaves the directories and the processes of the other alone."""
    relay.run("systemctl", "start", "sondad")
    assert report(relay) == "202"
    relay.run("systemctl", "stop", "sondad")
    assert report(relay) == "202"
    relay.run("systemctl", "start", "sondad")
    relay.run("systemctl", "stop", "sondad-relay")
    assert relay.show("sondad", "ActiveState") == "active"


def test_a_relay_without_a_network_keeps_what_it_should_forward(machine: Machine) -> None:
    """As delivered it accepts updates and says what it lacks; with the drop-in of docs/relay.md it forwards them."""
    machine.write("/etc/sondad/relay.yaml", CONFIG + f"upstream: {{url: 'http://127.0.0.1:{PARENT_PORT}'}}\n")
    machine.run("systemctl", "start", "sondad-relay")
    assert report(machine) == "202"
    machine.wait_for_journal("sondad-relay", "upstream.url: this service has no network; the drop-in")
    child = "/run/sondad/relay/admin.sock"
    health = read(machine, child, "/health")
    assert (health["status"], len(health["problems"])) == ("degraded", 1)
    assert "sondad-relay-network.conf" in health["problems"][0]
    assert read(machine, child, "/state")["spool"]["entries"] == 1

    machine.write("/srv/parent.yaml", PARENT)
    started = ("systemd-run", "--unit=parent", "--property=Type=notify")
    machine.run(*started, "sondad", "relay", "--config", "/srv/parent.yaml")
    try:
        page = ROOT.joinpath("docs", "relay.md").read_text()
        machine.shell(page.partition("## As a service")[2].partition("```bash\n")[2].partition("```")[0])
        wait_until(lambda: read(machine, child, "/state")["spool"]["entries"] == 0, "the update is forwarded", 60)
        assert read(machine, "/srv/parent/run/admin.sock", "/checks/agent/urn:fs:usage")["status"] == "ok"
        assert read(machine, child, "/health") == {"status": "OK", "problems": []}
        assert exposure(machine, "sondad-relay") <= 2.3
    finally:
        machine.run("systemctl", "stop", "parent")


def test_a_relay_without_a_network_does_not_listen_on_it(machine: Machine) -> None:
    """A TCP address to listen on is refused for good, with its place and the remedy."""
    machine.write("/etc/sondad/relay.yaml", PARENT)
    assert machine.run("systemctl", "start", "sondad-relay", check=False).returncode != 0
    assert (machine.show("sondad-relay", "ExecMainStatus"), machine.show("sondad-relay", "NRestarts")) == ("2", "0")
    machine.wait_for_journal("sondad-relay", ": relay.pure.listen: this service has no network")
