"""The installed scripts in processes that need no start: forked from one that has imported what commands import.

Each has streams, a working directory and an environment of its own, and ends with an exit code as any process does.
What the interpreter reads at its start, such as PYTHONUTF8, is as in the process that they are forked from.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
MOST_REQUEST_BYTES = 1 << 17


class WarmCommands:
    """The process that commands are forked from, one after the other; it ends with this one.

    Args:
        environment: of the process at its start.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                # Threads of numpy's library would be lost at a fork.
                env={**environment, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def run(
        self, command: list[str], cwd: Path, environment: Mapping[str, str], stdin: str, timeout_secs: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of ours to its end.

        Raises:
            TimeoutError: nothing came from it for `timeout_secs`; no further command can be run.
        """
        request = json.dumps([[str(SCRIPTS / command[0]), *command[1:]], str(cwd), dict(environment)]).encode()
        (stdin_end, typed), (shown, stdout_end), (said, stderr_end) = os.pipe(), os.pipe(), os.pipe()
        with open(shown, "rb"), open(said, "rb"):
            with open(stdin_end, "rb"), open(stdout_end, "wb"), open(stderr_end, "wb"):
                socket.send_fds(self._requests, [request], [stdin_end, stdout_end, stderr_end])
            with open(typed, "w") as writer:
                writer.write(stdin)
            stdout, stderr = _read_to_end([shown, said], timeout_secs)
        self._requests.settimeout(timeout_secs)
        return subprocess.CompletedProcess(command, int(self._requests.recv(16)), stdout, stderr)

    def close(self) -> None:
        """End the process and what it has forked."""
        self._requests.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _read_to_end(descriptors: list[int], timeout_secs: float) -> list[str]:
    read = dict.fromkeys(descriptors, b"")
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            if not (ready := selector.select(timeout_secs)):
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                read[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
    return [text.decode() for text in read.values()]


def _serve(requests: socket.socket) -> None:
    while True:
        request, streams, _, _ = socket.recv_fds(requests, MOST_REQUEST_BYTES, 3)
        if not request:
            return
        pid = os.fork()
        if not pid:
            requests.close()
            _become(*json.loads(request), streams)
            return
        for descriptor in streams:
            os.close(descriptor)
        requests.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(command: list[str], cwd: str, environment: dict[str, str], streams: list[int]) -> None:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Those of the start know of their descriptors whether one can seek in them.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor, for the life of the process
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - as above
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    sys.path[0] = str(SCRIPTS)
    end = _QuickEnd()
    atexit.register(end)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as exc:
        end.code = exc.code
        raise


class _QuickEnd:
    """The last of the exit handlers: taking all modules down would copy every page of what was imported.

    Attributes:
        code: what the command ends with; anything but a number is left to the interpreter.
    """

    code: str | int | None = None

    def __call__(self) -> None:
        if isinstance(self.code, int):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def _import_commands() -> None:
    import supervisor.cli

    for module in pkgutil.walk_packages(supervisor.cli.__path__, "supervisor.cli."):
        importlib.import_module(module.name)
    # A fork then copies less of what was imported.
    gc.freeze()


if __name__ == "__main__":
    _import_commands()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
