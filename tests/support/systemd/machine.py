"""A Debian with a real systemd as its first process, in a container that systemd-nspawn boots.

::

    cached image (read only) ──┐
    tmpfs (what this run writes) ─┴─ overlay ── systemd-nspawn --boot ── nsenter: commands of the test

A run that is killed leaves its container and its mounts, which the next one removes.

Source: systemd-nspawn(1), nsenter(1).
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import psutil
import pytest

from tests.support.polling import wait_until

ROOT: Final = Path(__file__).parents[3]
IMAGE: Final = Path(__file__).with_name("image")
IMAGE_SECS: Final = 600
BOOT_SECS: Final = 120
COMMAND_SECS: Final = 120
CANNOT_BOOT: Final = "no machine with systemd can be booted"
DIRECTORY_PREFIX: Final = "sondad-machine-"
LOCK: Final = "lock"
NEEDED: Final = ("systemd-nspawn", "debootstrap", "nsenter", "mount")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CannotBootError(Exception):
    """This machine cannot boot a container; says why."""


class NoProcessYetError(Exception):
    """Nothing runs in the container: it is about to start, or has ended."""


@contextmanager
def booted(preparation: str) -> Iterator["Machine"]:
    """Boot a machine and run a script of sh in it; without a way to boot one the test is skipped."""
    try:
        machine = Machine()
    except CannotBootError as error:
        pytest.skip(f"{CANNOT_BOOT}: {error}")
    try:
        machine.shell(preparation)
        yield machine
    finally:
        machine.close()


class Machine:
    """One booted container with the project's files under /opt/sondad, not yet installed.

    Raises:
        CannotBootError: this machine has not what it takes.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise CannotBootError("only root can")
        if missing := [name for name in NEEDED if shutil.which(name, path=PATH) is None]:
            raise CannotBootError(f"{', '.join(missing)} is not installed")
        image = subprocess.run([IMAGE], capture_output=True, text=True, timeout=IMAGE_SECS, check=False)
        if image.returncode != 0:
            raise CannotBootError(f"no image could be made: {image.stderr}")
        remove_what_dead_runs_left()
        self._directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        self._lock = _locked(self._directory)
        self._ram, self.root = self._directory / "ram", self._directory / "root"
        for directory in (self._ram, self.root):
            directory.mkdir()
        try:
            _run("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(self._ram))
            upper, work = self._ram / "upper", self._ram / "work"
            upper.mkdir()
            work.mkdir()
            layers = f"lowerdir={image.stdout.strip()},upperdir={upper},workdir={work}"
            _run("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        except subprocess.CalledProcessError as error:
            _remove(self._directory)
            raise CannotBootError(f"mount: {error.stderr}") from error
        self._forgotten_us = 0
        self._copy_project()
        self._boot_log = (self._directory / "boot.log").open("wb")
        self._boot()

    def run(self, *command: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as root inside, and return what it printed.

        Raises:
            AssertionError: its exit code is not 0, unless `check` is off.
        """
        done = self._enter("--all", "env", "-i", f"PATH={PATH}", *command, stdin=stdin)
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def in_network(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command that this machine has, in the network of the container; its exit code may be any."""
        return self._enter("--net", *command, stdin=stdin)

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a script of sh inside, and return its standard output."""
        return self.run("/bin/sh", "-euc", script, check=check).stdout

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def journal(self, unit: str, *, lowest_priority: int = 7, own_only: bool = False) -> list[str]:
        """The lines of a unit in the journal since `forget_journal`, without stamps.

        Args:
            unit: its name.
            lowest_priority: lines with a larger number are left out.
            own_only: leave out what systemd says about the unit.
        """
        self.run("journalctl", "--sync")
        # The many lines of an earlier test are not even printed.
        since = f"--since=@{self._forgotten_us // 1_000_000}"
        shown = self.run("journalctl", "--quiet", "--output=json", since, f"--unit={unit}").stdout
        entries = [json.loads(line) for line in shown.splitlines()]
        return [
            entry["MESSAGE"]
            for entry in entries
            if int(entry["__REALTIME_TIMESTAMP"]) > self._forgotten_us
            and int(entry["PRIORITY"]) <= lowest_priority
            and not (own_only and entry["_TRANSPORT"] != "stdout")
        ]

    def forget_journal(self) -> None:
        """What is in the journal now is not shown any more."""
        self._forgotten_us = time.time_ns() // 1000

    def wait_for_journal(self, unit: str, text: str) -> str:
        """The first line of a unit that contains `text`, once there is one."""
        found = lambda: [line for line in self.journal(unit) if text in line]  # noqa: E731
        return wait_until(found, f"the journal of {unit} says {text!r}", 30)[0]

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def reboot(self) -> None:
        """Shut down as `systemctl reboot` does, and boot again; what was written stays."""
        self.run("systemctl", "reboot", check=False)
        self._container.wait(BOOT_SECS)
        self._boot()

    def cut_power(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """End every process at once, without a signal that it could see, and boot again.

        Args:
            meanwhile: called while nothing runs.
        """
        os.kill(self._first_process(), signal.SIGKILL)
        self._container.wait(BOOT_SECS)
        meanwhile()
        self._boot()

    def close(self) -> None:
        """Power off, and remove whatever was written."""
        if self._container.poll() is None:
            self._container.send_signal(signal.SIGTERM)
            try:
                self._container.wait(30)
            except subprocess.TimeoutExpired:
                self._container.kill()
                self._container.wait(30)
        self._boot_log.close()
        _remove(self._directory)
        self._lock.close()

    def _boot(self) -> None:
        """Start the container and wait until systemd is up.

        Raises:
            CannotBootError: it does not come up.
        """
        self._container = subprocess.Popen(
            [
                *(
                    "systemd-nspawn",
                    "--quiet",
                    "--register=no",
                    "--keep-unit",
                    "--private-network",
                    "--link-journal=no",
                ),
                *("--console=pipe", f"--directory={self.root}", f"--machine=sondad-{os.getpid()}", "--boot"),
                "systemd.unit=multi-user.target",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._boot_log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until(self._has_booted, "systemd is up", BOOT_SECS)
        except AssertionError as error:
            said = (self._directory / "boot.log").read_text(errors="replace")
            self.close()
            raise CannotBootError(f"{error}: {said}") from error

    def _copy_project(self) -> None:
        """Copy what git would commit, as it is now."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, self.root / "opt/sondad" / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def _enter(self, *arguments: str, stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(self._first_process()), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECS,
            check=False,
        )

    def _first_process(self) -> int:
        children = psutil.Process(self._container.pid).children()
        if not children:
            raise NoProcessYetError
        return children[0].pid

    def _has_booted(self) -> bool:
        if self._container.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended with {self._container.returncode}")
        try:
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        except NoProcessYetError:
            return False
        return state in ("running", "degraded")


def remove_what_dead_runs_left() -> None:
    """End the containers of runs that are no more, and remove their mounts and files."""
    for directory in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"):
        with suppress(OSError), (directory / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for process in psutil.process_iter(["cmdline"]):
                if f"--directory={directory / 'root'}" in (process.info["cmdline"] or ()):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                    process.wait(30)
            _remove(directory)


def _locked(directory: Path) -> IO[str]:
    """Return a lock that ends with this process; nobody sees its file without it."""
    made = directory / f"{LOCK}.new"
    lock = made.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(directory / LOCK)
    return lock


def _remove(directory: Path) -> None:
    for mount in ("root", "ram"):
        subprocess.run(["umount", "--lazy", directory / mount], capture_output=True, check=False)
    shutil.rmtree(directory, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)
