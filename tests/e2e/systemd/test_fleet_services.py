"""The units of a fleet on a real systemd: scheduler, worker and daemon find each other, and again after a death."""

import json
import signal
from typing import Any

import pytest

from tests.support.polling import wait_until
from tests.support.systemd.machine import Machine

UNITS = ("sondad", "sondad-fleet-scheduler", "sondad-fleet-worker")
FILE = "/run/sondad/fleet/scheduler.json"


@pytest.fixture
def fleet(machine: Machine) -> Machine:
    machine.run("systemctl", "start", *UNITS)
    return machine


def hosts(machine: Machine) -> list[dict[str, Any]]:
    """What `fleet status` tells; nothing while there is no scheduler."""
    done = machine.run("sondad", "fleet", "status", "--scheduler-file", FILE, "--json", check=False)
    return json.loads(done.stdout) if done.stdout.startswith("[") else []


def test_the_units_make_a_fleet_and_come_back(fleet: Machine) -> None:
    """As delivered they find each other; a scheduler that is killed takes its worker along, and both return."""
    joined = lambda: [host["url"] for host in hosts(fleet)] == ["http://127.0.0.1:8080"]  # noqa: E731
    wait_until(joined, "the host has joined", 60)
    for unit in UNITS[1:]:
        assert fleet.shell(f"ps -o user= -p $(systemctl show --property MainPID --value {unit})").strip() == "sondad"
    fleet.run("systemctl", "kill", "--signal", str(int(signal.SIGKILL)), "sondad-fleet-scheduler")
    wait_until(lambda: fleet.show("sondad-fleet-worker", "NRestarts") != "0", "the worker was started again", 60)
    wait_until(joined, "the host has joined again", 60)
    assert fleet.show("sondad", "NRestarts") == "0"


def test_a_scheduler_for_others_needs_tls(machine: Machine) -> None:
    """The unit does not start, and the journal says what it needs."""
    machine.write("/etc/sondad/fleet", 'FLEET_SCHEDULER="--host 0.0.0.0"\n')
    machine.run("systemctl", "start", "sondad-fleet-scheduler", check=False)
    machine.wait_for_journal("sondad-fleet-scheduler", "0.0.0.0 is not loopback")
