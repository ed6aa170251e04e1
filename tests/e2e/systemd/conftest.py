"""One machine with a real systemd for all tests of this folder, with the services installed as the docs say."""

from collections.abc import Iterator

import pytest

from tests.conftest import CANNOT_BOOT
from tests.support.systemd.machine import CannotBootError, Machine


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    try:
        machine = Machine()
    except CannotBootError as error:
        pytest.skip(f"{CANNOT_BOOT}: {error}")
    try:
        machine.shell("umask 077; make -s -C /opt/sondad install-service PYTHON=/usr/bin/python3")
        yield machine
    finally:
        machine.close()


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine with the services as delivered and stopped; afterwards no process of theirs may be left."""
    booted.forget_journal()
    yield booted
    units = "sondad.socket sondad.service sondad-relay.service"
    booted.shell(f"systemctl stop {units}; rm -rf /etc/systemd/system/*.service.d /etc/sondad/environment")
    booted.shell(f"systemctl daemon-reload; systemctl reset-failed {units} || true")
    assert booted.run("pgrep", "--list-full", "--full", "sondad", check=False).stdout == ""
