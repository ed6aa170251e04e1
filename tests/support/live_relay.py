"""A relay in its own process, and raw HTTP to it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.polling import wait_until

BODY = b'{"status":"ok","metrics":[]}'


class Answer:
    """A parsed response; header names as sent."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0  # 0: closed without an answer
        self.start_line = lines[0]
        self.headers = dict(line.split(": ", 1) for line in lines[1:])

    def json(self) -> Any:
        return json.loads(self.body)


def connect(address: str | tuple[str, int]) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(60)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def read_all(sock: socket.socket) -> bytes:
    """Read to the end; a reset after the answer counts as its end."""
    raw = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            raw += piece
    return raw


def exchange(address: str | tuple[str, int], raw: bytes) -> Answer:
    """Send raw bytes on a new connection and return what comes back until the server closes."""
    with connect(address) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(raw)
        return Answer(read_all(sock))


def request(
    address: str | tuple[str, int], method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    """Make one well-formed request."""
    fields = {"Host": "localhost", **({"Content-Type": "application/json"} if body else {}), **(headers or {})}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    if body or method == "POST":
        head += f"Content-Length: {len(body)}\r\n"
    return exchange(address, f"{head}\r\n".encode("latin-1") + body)


class LiveRelay:
    """A relay under `root`, started from a configuration text in which `{root}` stands for that directory."""

    def __init__(self, root: Path, config: str, *, program: list[str] | None = None) -> None:
        self.root = root
        self.config = root / "relay.yaml"
        self.config.write_text(config.replace("{root}", str(root)))
        self.log_path = root / "relay.log"
        self._program = program or ["-m", "supervisor.relay"]
        self.admin_path = f"{root}/run/admin.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._program, "--config", str(self.config)], stderr=log, stdin=subprocess.DEVNULL
            )
        return self.process

    def start(self) -> "LiveRelay":
        """Start it and wait until it serves."""
        process = self.launch()

        def serves() -> bool:
            assert process.poll() is None, self.log()
            try:
                return self.admin("GET", "/ping").json()["status"] != "initializing"
            except OSError:
                return False

        wait_until(serves, "the relay serves", 60)
        return self

    def sock(self, client: str) -> str:
        return f"{self.root}/run/clients/{client}.sock"

    def admin(self, method: str, target: str) -> Answer:
        return request(self.admin_path, method, target)

    def post(self, client: str, check: str, body: bytes = BODY, headers: dict[str, str] | None = None) -> Answer:
        return request(self.sock(client), "POST", f"/checks/{check}", body, headers)

    def check(self, client: str, check: str) -> Any:
        return self.admin("GET", f"/checks/{client}/{check}").json()

    def metric(self, line_start: str) -> str | None:
        """Return the value of the series that starts with `line_start`."""
        for line in self.admin("GET", "/metrics").body.decode().splitlines():
            if line.startswith(line_start):
                return line.rpartition(" ")[2]
        return None

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)

    def stop(self) -> int:
        """Stop it with SIGTERM and return its exit code; its log may show no traceback."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert "Traceback" not in self.log()
        return code

    def wait_for_log(self, text: str) -> None:
        """Wait until the log says `text`: lines are written beside what they tell."""
        wait_until(lambda: text in self.log(), f"the log says {text!r}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


@contextlib.contextmanager
def live(root: Path, config: str, **options: Any) -> Iterator[LiveRelay]:
    """Run a relay; afterwards it must stop cleanly and leave no socket."""
    root.mkdir(parents=True, exist_ok=True)
    relay = LiveRelay(root, config, **options)
    try:
        relay.start()
        yield relay
        assert relay.stop() == 0, relay.log()
        assert not list(root.glob("run/**/*.sock")), "socket files are left"
    finally:
        relay.kill()
        print(f"--- log of the relay in {root}\n{relay.log()[-6000:]}")


def clients_config(clients: str, *, relay: str = "", rest: str = "") -> str:
    """Return a configuration in mode `clients`; `clients` and `rest` are YAML without indentation of their own."""
    indented = "".join(f"  {line}\n" for line in clients.strip().splitlines())
    return (
        "version: 1\n"
        f"relay: {{id: child, run_dir: '{{root}}/run', state_dir: '{{root}}/state'{', ' + relay if relay else ''}}}\n"
        f"{rest}clients:\n{indented}"
    )


def own(checks: str = '"123": {urn: "urn:logscan"}, "urn:fs:usage": {}', name: str = "agent", extra: str = "") -> str:
    """Return one client that this process may be."""
    return f"{name}: {{uid: {os.geteuid()}, {extra}checks: {{{checks}}}}}"


def pure_config(port: int, *, relay: str = "", pure: str = "accept_unknown: true", rest: str = "") -> str:
    """Return a configuration in pure mode on a TCP port."""
    return (
        "version: 1\n"
        "relay:\n  id: parent\n  mode: pure\n  run_dir: '{root}/run'\n  state_dir: '{root}/state'\n"
        f"{relay}  pure: {{listen: '127.0.0.1:{port}', {pure}}}\n{rest}"
    )


def wait_gone(path: str) -> None:
    wait_until(lambda: not os.path.lexists(path), f"{path} is gone")


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
