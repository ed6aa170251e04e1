"""The Debian package on a machine that has never seen the project: installed, upgraded, removed, purged."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.systemd.test_service import FILE, ask, goes_on
from tests.support.polling import wait_until
from tests.support.systemd.machine import Machine, booted

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "packaging/build-deb"


@pytest.fixture
def bare() -> Iterator[Machine]:
    with booted("rm -rf /opt/sondad") as machine:
        yield machine


def test_only_the_python_of_the_system_is_packed(tmp_path: Path) -> None:
    """Any other is missing on the machine where the package is installed."""
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python)}
    done = subprocess.run([BUILD], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{python} is not the system's Python" in done.stderr


def test_a_life_of_the_package(bare: Machine) -> None:
    """Install, set a key, start, upgrade while a scenario runs, remove, purge: each leaves what it should."""
    subprocess.run([BUILD], cwd=ROOT, check=True, timeout=280, capture_output=True)
    (package,) = (ROOT / "dist").glob("sondad_*.deb")
    shutil.copy(package, bare.root / "srv/sondad.deb")
    bare.shell("umask 077; dpkg -i /srv/sondad.deb")
    assert bare.shell("sondad --version").startswith("sondad ")
    assert bare.shell("stat -c '%U %a' /etc/sondad/sondad.env").strip() == "root 600"
    bare.shell("sed -i 's/^#SONDA_API_KEY=/SONDA_ANYTHING=kept/' /etc/sondad/sondad.env")
    bare.run("systemctl", "enable", "--now", "sondad")
    first = bare.show("sondad", "MainPID")
    assert "/opt/sondad/.venv/lib" in bare.shell("cat /opt/sondad/.venv/pyvenv.cfg; ls -d /opt/sondad/.venv/lib/*/*")
    started = ask(bare, "POST", "/scenarios", FILE % "/var/lib/sondad/serve/up.prom")

    bare.shell("dpkg -i /srv/sondad.deb")
    wait_until(lambda: bare.show("sondad", "ActiveState") == "active", "the new version runs", 60)
    assert bare.show("sondad", "MainPID") != first
    assert bare.shell("grep -c kept /etc/sondad/sondad.env").strip() == "1"
    bare.wait_for_journal("sondad", "scenario task joined")
    goes_on(bare, started)

    bare.run("dpkg", "--remove", "sondad")
    assert bare.show("sondad", "LoadState") == "not-found"
    assert bare.run("pgrep", "--list-full", "--full", "sondad", check=False).stdout == ""
    bare.shell("test ! -e /opt/sondad && test -e /etc/sondad/sondad.env && test -e /var/lib/sondad/serve/up.prom")
    bare.run("dpkg", "--purge", "sondad")
    bare.shell("test ! -e /etc/sondad && test ! -e /var/lib/sondad")
