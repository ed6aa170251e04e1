"""The daemon's unit on a real systemd: it starts, tells, survives, stops and may not do what it need not."""

import json
from typing import Any

import pytest

from tests.support.polling import wait_until
from tests.support.systemd.machine import Machine

CLIENT = ("curl", "--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60")
FILE = """
version: 2
defaults: {rate: 500, sink: {type: file, path: %s}}
scenarios: [{signal_type: metrics, name: up, generator: {type: constant, value: 1}}]
"""
MEMORY = """
version: 2
defaults: {rate: 1, sink: {type: memory}}
scenarios: [{signal_type: metrics, name: up, generator: {type: constant, value: 1}}]
"""
STDOUT = """
version: 2
defaults: {rate: 10000, duration: 3s, sink: {type: stdout}}
scenarios: [{signal_type: metrics, name: flood, generator: {type: constant, value: 1}}]
"""


def ask(machine: Machine, method: str, path: str, body: str = "", *, check: bool = True) -> Any:
    """Send one request to the daemon in its network; returns the answer's JSON, or the error's text."""
    sent = ("--header", "Content-Type: text/yaml", "--data-binary", "@-") if body else ()
    form = ("--request", method, "--write-out", "\n%{http_code}", f"http://127.0.0.1:8080{path}")
    done = machine.in_network(*CLIENT, *sent, *form, stdin=body)
    text, _, status = done.stdout.rpartition("\n")
    if done.returncode == 0 and status < "400":
        return json.loads(text)
    assert not check, f"{method} {path}: {status} {text}{done.stderr}"
    return f"{status} {text}{done.stderr}"


def start(machine: Machine) -> int:
    """Start the service, which must be ready; returns the main process."""
    machine.run("systemctl", "start", "sondad")
    assert machine.show("sondad", "ActiveState") == "active"
    return int(machine.show("sondad", "MainPID"))


def test_ready_status_and_a_clean_stop(machine: Machine) -> None:
    """Started means that it answers; the status says what it does; stopped means that all was written."""
    start(machine)
    assert ask(machine, "GET", "/health")["status"] == "ok"
    path = "/var/lib/sondad/serve/up.prom"
    started = ask(machine, "POST", "/scenarios", FILE % path)
    status = lambda: machine.show("sondad", "StatusText")  # noqa: E731
    wait_until(lambda: status() == "listening on 127.0.0.1:8080; scenarios running: 1", "the status counts it", 30)
    wait_until(lambda: ask(machine, "GET", f"/scenarios/{started['id']}/stats")["total_events"] > 500, "events", 30)
    assert machine.show("sondad", "OOMPolicy") == "continue"
    urgencies = dict(reversed(line.split()[:3:2]) for line in machine.shell("ps -u sondad -o nice=,args=").splitlines())
    assert int(urgencies["scenario"]) == int(urgencies["serve"]) + 5
    titles = machine.shell("ps -u sondad -o args=")
    assert all(line.startswith("sondad: ") for line in titles.splitlines()), titles
    machine.run("systemctl", "stop", "sondad")
    assert (machine.show("sondad", "Result"), machine.show("sondad", "ExecMainStatus")) == ("success", "0")
    joined = machine.wait_for_journal("sondad", "scenario task joined")
    lines = int(machine.shell(f"wc -l <{path}"))
    assert f"total_events={lines}" in joined
    assert machine.shell(f"stat -c %U {path}") == "sondad\n"


def test_the_journal_keeps_every_line(machine: Machine) -> None:
    """Ten thousand events per second through the stdout sink, and the daemon's own log beside them."""
    start(machine)
    started = ask(machine, "POST", "/scenarios", STDOUT)
    stats = lambda: ask(machine, "GET", f"/scenarios/{started['id']}/stats")  # noqa: E731
    wait_until(lambda: stats()["state"] == "finished", "it is over", 60)
    # Ticks that are overdue at the end on a busy machine are left out.
    assert 10_000 < (total := stats()["total_events"]) <= 30_000
    machine.run("systemctl", "stop", "sondad")
    lines = machine.journal("sondad")
    assert sum(line.startswith("flood ") for line in lines) == total
    assert any("shut down cleanly" in line for line in lines)


def test_the_journal_knows_how_bad_it_is(machine: Machine) -> None:
    """Lines have their priority, and no second time stamp in front of the journal's."""
    machine.write(
        "/etc/systemd/system/sondad.service.d/open.conf",
        "[Service]\nExecStart=\nExecStart=/opt/sondad/.venv/bin/sondad serve --bind 0.0.0.0\n",
    )
    machine.run("systemctl", "daemon-reload")
    start(machine)
    warning = machine.wait_for_journal("sondad", "without an API key")
    assert not warning[:1].isdigit()
    machine.run("systemctl", "stop", "sondad")
    ours = machine.journal("sondad", own_only=True)
    warnings = [line for line in ours if line.startswith("WARN ")]
    assert warnings
    assert machine.journal("sondad", own_only=True, lowest_priority=4) == warnings


def goes_on(machine: Machine, started: Any) -> None:
    """Wait until a scenario that was started runs and names what it has missed."""
    shown = lambda: ask(machine, "GET", f"/scenarios/{started['id']}", check=False)  # noqa: E731
    wait_until(lambda: "the daemon was down" in json.dumps(shown()), "the scenario goes on", 60)
    assert shown()["state"] == "running"


def test_a_killed_daemon_comes_back(machine: Machine) -> None:
    """Systemd starts it again, and its scenarios go on; so they do after a restart."""
    first = start(machine)
    started = ask(machine, "POST", "/scenarios", FILE % "/var/lib/sondad/serve/killed.prom")
    machine.run("kill", "-KILL", str(first))
    wait_until(lambda: machine.show("sondad", "NRestarts") == "1", "systemd starts it again", 60)
    wait_until(lambda: machine.show("sondad", "ActiveState") == "active", "it is ready", 60)
    goes_on(machine, started)
    machine.run("systemctl", "restart", "sondad")
    goes_on(machine, started)
    assert machine.shell("stat -c '%U %a' /var/lib/sondad/state/journal.sqlite") == "sondad 600\n"


def test_a_daemon_that_hangs_is_replaced(machine: Machine) -> None:
    """The watchdog notices a loop that does not turn, and kills every process of the service."""
    machine.write("/etc/systemd/system/sondad.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s\n")
    machine.run("systemctl", "daemon-reload")
    first = start(machine)
    machine.run("kill", "-STOP", str(first))
    wait_until(lambda: int(machine.show("sondad", "NRestarts")) > 0, "systemd starts it again", 60)
    wait_until(lambda: machine.show("sondad", "ActiveState") == "active", "it is ready", 60)
    assert int(machine.show("sondad", "MainPID")) != first


def test_a_reload_ends_nothing(machine: Machine) -> None:
    """It is over when the catalog has been read; what runs goes on, in the same process."""
    machine.write("/etc/sondad/catalog/up.yaml", "kind: runnable" + FILE % "/var/lib/sondad/serve/catalog.prom")
    machine.write(
        "/etc/systemd/system/sondad.service.d/catalog.conf",
        "[Service]\nEnvironment=SONDA_CATALOG=/etc/sondad/catalog\n",
    )
    machine.run("systemctl", "daemon-reload")
    first = start(machine)
    started = ask(machine, "POST", "/scenarios", FILE % "/var/lib/sondad/serve/kept.prom")
    machine.run("systemctl", "reload", "sondad")
    machine.wait_for_journal("sondad", "reload: the catalog was read")
    assert int(machine.show("sondad", "MainPID")) == first
    assert ask(machine, "GET", f"/scenarios/{started['id']}")["state"] == "running"


def test_a_wrong_argument_is_not_tried_again(machine: Machine) -> None:
    """Exit code 2 is final, and the journal has the reason."""
    machine.write(
        "/etc/systemd/system/sondad.service.d/wrong.conf",
        "[Service]\nExecStart=\nExecStart=/opt/sondad/.venv/bin/sondad serve --bind localhost\n",
    )
    machine.run("systemctl", "daemon-reload")
    assert machine.run("systemctl", "start", "sondad", check=False).returncode != 0
    assert (machine.show("sondad", "ExecMainStatus"), machine.show("sondad", "NRestarts")) == ("2", "0")
    assert machine.show("sondad", "ActiveState") == "failed"
    machine.wait_for_journal("sondad", "argument --bind: expected an IP address")


def test_few_descriptors_are_a_refusal(machine: Machine) -> None:
    """The limit that the unit sets is named, what runs goes on, and after a DELETE there is room again."""
    machine.write("/etc/systemd/system/sondad.service.d/few.conf", "[Service]\nLimitNOFILE=128\n")
    machine.run("systemctl", "daemon-reload")
    main = start(machine)
    launched = []
    while isinstance(answer := ask(machine, "POST", "/scenarios", MEMORY, check=False), dict):
        launched.append(answer["id"])
    assert answer.startswith("500 ")
    assert "the limit of 128 open files (ulimit -n)" in answer
    for one in launched[:4]:
        assert ask(machine, "DELETE", f"/scenarios/{one}")["status"] == "stopped"
    wait_until(lambda: isinstance(ask(machine, "POST", "/scenarios", MEMORY, check=False), dict), "there is room again")
    states = {one["state"] for one in ask(machine, "GET", "/scenarios")["scenarios"]}
    assert (states, int(machine.show("sondad", "MainPID"))) == ({"running"}, main)


def test_a_further_directory_needs_both_lines(machine: Machine) -> None:
    """The drop-in of docs/operating.md, word for word but the address: the daemon may write where it says."""
    machine.shell("mkdir -p /srv/telemetry && chown sondad /srv/telemetry")
    machine.write(
        "/etc/systemd/system/sondad.service.d/override.conf",
        "[Service]\nExecStart=\nExecStart=/opt/sondad/.venv/bin/sondad serve --allow-path /srv/telemetry\n"
        "ReadWritePaths=/srv/telemetry\n",
    )
    machine.run("systemctl", "daemon-reload")
    start(machine)
    started = ask(machine, "POST", "/scenarios", FILE % "/srv/telemetry/up.prom")
    wait_until(lambda: ask(machine, "GET", f"/scenarios/{started['id']}/stats")["total_events"] > 0, "events", 30)


def test_a_restart_refuses_no_connection(machine: Machine) -> None:
    """With the socket unit, requests that come while the daemon restarts wait for it."""
    machine.run("systemctl", "start", "sondad.socket")
    start(machine)
    machine.run("systemctl", "restart", "--no-block", "sondad")
    for _ in range(20):
        assert ask(machine, "GET", "/health")["status"] == "ok"
    machine.run("systemctl", "is-active", "sondad.socket")


def exposure(machine: Machine, unit: str) -> float:
    """Return how exposed a unit is as systemd sees it: 0 is least, 10 most."""
    report = machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service").stdout
    (overall,) = [line for line in report.splitlines() if "Overall exposure level" in line]
    return float(overall.split(":")[1].split()[0])


@pytest.mark.parametrize(
    ("unit", "most"),
    [("sondad", 1.5), ("sondad-relay", 1.5), ("sondad-fleet-scheduler", 1.5), ("sondad-fleet-worker", 1.5)],
)
def test_little_is_exposed(machine: Machine, unit: str, most: float) -> None:
    """What systemd itself finds when it looks at the unit."""
    assert exposure(machine, unit) <= most


def test_installing_again_and_removing(machine: Machine) -> None:
    """A second installation is as good as one; after removal only settings and state are left."""
    machine.shell("make -s -C /opt/sondad install-service PYTHON=/usr/bin/python3")
    start(machine)
    machine.shell("make -s -C /opt/sondad uninstall-service")
    assert machine.show("sondad", "LoadState") == "not-found"
    assert machine.shell("ls /usr/local/bin") == ""
    machine.shell("test -d /etc/sondad -a -d /var/lib/sondad/serve")
    machine.shell("make -s -C /opt/sondad install-service PYTHON=/usr/bin/python3")
    assert machine.shell("sondad --version").startswith("sondad ")
    assert machine.shell("stat -c '%U %a' /etc/sondad/sondad.env").strip() == "root 600"
