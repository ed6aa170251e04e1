"""One machine with a real systemd for all tests of this folder, with the services installed as the docs say."""

from collections.abc import Iterator

import pytest

from tests.support.systemd.machine import Machine, booted


@pytest.fixture(scope="session")
def installed() -> Iterator[Machine]:
    with booted("umask 077; make -s -C /opt/sondad install-service PYTHON=/usr/bin/python3") as machine:
        yield machine


@pytest.fixture
def machine(installed: Machine) -> Iterator[Machine]:
    """The machine with the services as delivered and stopped; afterwards nothing of theirs may be left or surprised."""
    installed.forget_journal()
    yield installed
    units = "sondad-fleet-worker sondad-fleet-scheduler sondad.socket sondad.service sondad-relay.service"
    written = "/etc/systemd/system/*.service.d /etc/sondad/sondad.env /etc/sondad/fleet /var/lib/sondad/state"
    installed.shell(f"systemctl stop {units}; rm -rf {written}")
    installed.shell(f"systemctl daemon-reload; systemctl reset-failed {units} || true")
    for unit in ("sondad", "sondad-relay"):
        assert [line for line in installed.journal(unit) if "Traceback" in line] == []
    assert installed.run("pgrep", "--list-full", "--full", "sondad", check=False).stdout == ""
