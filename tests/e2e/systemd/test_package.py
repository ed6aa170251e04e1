"""The Debian package on a machine that has never seen the project: installed, upgraded, removed, purged."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CANNOT_BOOT
from tests.e2e.systemd.test_service import FILE, ask
from tests.support.polling import wait_until
from tests.support.systemd.machine import CannotBootError, Machine

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "packaging/build-deb"


@pytest.fixture
def bare() -> Iterator[Machine]:
    try:
        machine = Machine()
    except CannotBootError as error:
        pytest.skip(f"{CANNOT_BOOT}: {error}")
    try:
        machine.shell("rm -rf /opt/sondad")
        yield machine
    finally:
        machine.close()


def test_a_life_of_the_package(bare: Machine) -> None:
    """Install, set a key, start, upgrade while a scenario runs, remove, purge: each leaves what it should."""
    subprocess.run([BUILD], cwd=ROOT, check=True, timeout=280, capture_output=True)
    (package,) = (ROOT / "dist").glob("sondad_*.deb")
    shutil.copy(package, bare.root / "srv/sondad.deb")
    bare.shell("umask 077; dpkg -i /srv/sondad.deb")
    assert bare.shell("sondad --version").startswith("sondad ")
    assert bare.shell("stat -c '%U %a' /etc/sondad/environment").strip() == "root 600"
    bare.shell("sed -i 's/^#SONDA_API_KEY=/SONDA_ANYTHING=kept/' /etc/sondad/environment")
    bare.run("systemctl", "enable", "--now", "sondad")
    first = bare.show("sondad", "MainPID")
    assert "/opt/sondad/.venv/lib" in bare.shell("cat /opt/sondad/.venv/pyvenv.cfg; ls -d /opt/sondad/.venv/lib/*/*")
    ask(bare, "POST", "/scenarios", FILE % "/var/lib/sondad/serve/up.prom")

    bare.shell("dpkg -i /srv/sondad.deb")
    wait_until(lambda: bare.show("sondad", "ActiveState") == "active", "the new version runs", 60)
    assert bare.show("sondad", "MainPID") != first
    assert bare.shell("grep -c kept /etc/sondad/environment").strip() == "1"
    bare.wait_for_journal("sondad", "scenario task joined")

    bare.run("dpkg", "--remove", "sondad")
    assert bare.show("sondad", "LoadState") == "not-found"
    assert bare.run("pgrep", "--list-full", "--full", "sondad", check=False).stdout == ""
    bare.shell("test ! -e /opt/sondad && test -e /etc/sondad/environment && test -e /var/lib/sondad/serve/up.prom")
    bare.run("dpkg", "--purge", "sondad")
    bare.shell("test ! -e /etc/sondad && test ! -e /var/lib/sondad")
