"""Other processes as tests look at them and stop them. Any of them may end at any moment, which is no error here."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.polling import wait_until

_STOPPED = {"T", "t"}


def title_of(process: psutil.Process) -> str:
    """Return its command line, "" once it has ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def titled(processes: Iterable[psutil.Process], text: str) -> list[psutil.Process]:
    """Return those with `text` in their command line."""
    return [process for process in processes if text in title_of(process)]


def has_ended(process: psutil.Process) -> bool:
    """Return whether it has ended; who reaps it, and when, does not matter."""
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return True


def has_connections(process: psutil.Process) -> bool:
    """Return whether it has a TCP connection over IPv4."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.net_connections("tcp4"))
    return False


def members_of_session(leader: int) -> list[psutil.Process]:
    """Return every process of a session that has not ended, whoever its parent is by then."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(pid) == leader and not has_ended(process := psutil.Process(pid)):
                members.append(process)
    return members


def worker_of(scenario_id: str) -> psutil.Process:
    """Return the worker of this session that runs a scenario, found by its title."""
    what = f"a process titled with {scenario_id}"
    return wait_until(lambda: titled(members_of_session(os.getsid(0)), scenario_id), what)[0]


def freeze(pid: int) -> None:
    """Stop a process by SIGSTOP, and return when none of its threads runs any more.

    Raises:
        ProcessLookupError: it has gone.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: (states := _states_of_threads(pid)) and states <= _STOPPED, f"process {pid} is stopped")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process as `freeze` does; afterwards it goes on."""
    freeze(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _states_of_threads(pid: int) -> set[str]:
    """Return the state letters of its threads (proc_pid_stat(5))."""
    states = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            # The name before it may hold anything, parentheses too.
            states.add((thread / "stat").read_text().rpartition(") ")[2][0])
    return states
