"""A machine that reboots, and one that loses its power, under running scenarios: all of them go on under their ids."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.systemd.test_service import ask
from tests.support.polling import wait_until
from tests.support.systemd.machine import Machine, booted

FILES = "/var/lib/sondad/serve"
STATE = "var/lib/sondad/state"
BODY = f"""
version: 2
defaults: {{rate: 50}}
scenarios:
  - signal_type: metrics
    name: filled
    on_restart: fill
    generator: {{type: step, step_size: 1}}
    sink: {{type: file, path: {FILES}/filled}}
  - signal_type: metrics
    name: shared
    on_restart: fill
    isolation: shared
    generator: {{type: step, step_size: 1}}
    sink: {{type: file, path: {FILES}/shared}}
  - signal_type: metrics
    name: missed
    generator: {{type: step, step_size: 1}}
    sink: {{type: file, path: {FILES}/missed}}
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    install = "umask 077; make -s -C /opt/sondad install-service PYTHON=/usr/bin/python3; systemctl enable sondad"
    with booted(install) as machine:
        yield machine


def reboot(machine: Machine) -> None:
    machine.reboot()


def cut_power(machine: Machine) -> None:
    """The state directory is what a disk had at an instant some time before, its newest write torn."""
    state = machine.root / STATE
    saved = state.with_name("saved")
    machine.shell(f"cp -a /{STATE} /{STATE}/../saved")
    seen = samples(machine, "filled")
    wait_until(lambda: len(samples(machine, "filled")) > len(seen) + 20, "it is older than what was written", 60)

    def put_back() -> None:
        shutil.rmtree(state)
        shutil.move(saved, state)
        with (state / "journal.sqlite-wal").open("ab") as file:
            file.write(os.urandom(random.randrange(1, 5000)))

    machine.cut_power(put_back)


def samples(machine: Machine, name: str) -> list[tuple[int, int]]:
    """Values and stamps of the whole lines of a file."""
    path = machine.root / FILES.lstrip("/") / name
    content = path.read_text().rpartition("\n")[0] if path.exists() else ""
    lines = [line.split() for line in content.splitlines()]
    return [(int(float(value)), int(stamp)) for _, value, stamp in lines]


def shown(machine: Machine, scenario_id: str) -> Any:
    """The scenario, or what stands for it while the daemon is not there."""
    return ask(machine, "GET", f"/scenarios/{scenario_id}", check=False)


def goes_on(machine: Machine, launched: dict[str, str]) -> None:
    """Wait until the service is up by itself, and each scenario emits under its id."""
    wait_until(lambda: machine.show("sondad", "ActiveState") == "active", "it is up again", 60)
    wait_until(lambda: all(isinstance(shown(machine, one), dict) for one in launched.values()), "they go on", 60)
    before = {name: len(samples(machine, name)) for name in launched}
    more = lambda: all(len(samples(machine, name)) > before[name] + 20 for name in launched)  # noqa: E731
    wait_until(more, "all of them emit", 60)
    assert {shown(machine, one)["state"] for one in launched.values()} == {"running"}


@pytest.mark.parametrize("go_down", [reboot, cut_power])
def test_scenarios_outlive_the_machine(machine: Machine, go_down: Callable[[Machine], None]) -> None:
    """Those that fill have every tick once, changed at the tick that was named; the other names its hole."""
    machine.run("systemctl", "start", "sondad")
    launched = {one["name"]: one["id"] for one in ask(machine, "POST", "/scenarios", BODY)["scenarios"]}
    wait_until(lambda: len(samples(machine, "filled")) > 50, "events", 60)
    changed: Any = ask(machine, "PATCH", f"/scenarios/{launched['filled']}", "rate: 100")
    for number in range(2):
        go_down(machine)
        goes_on(machine, launched)
        assert len(shown(machine, launched["missed"])["holes"]) == number + 1
    assert [one["tick"] for one in shown(machine, launched["filled"])["retunes"]] == [changed["tick"]]
    holes = shown(machine, launched["missed"])["holes"]
    machine.run("systemctl", "stop", "sondad")
    for name, change in (("filled", changed["tick"]), ("shared", None)):
        found = samples(machine, name)
        assert [value for value, _ in found] == list(range(len(found))), name
        begin = found[0][1]
        due = [20 * k if change is None or k < change else 20 * change + 10 * (k - change) for k in range(len(found))]
        assert [stamp - begin for _, stamp in found] == due, name
    found = samples(machine, "missed")
    assert found[-1][0] + 1 - len(found) == sum(hole["missed_ticks"] for hole in holes)
