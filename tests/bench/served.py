"""A server under measurement: any command that announces its port as the first line on stdout."""

import contextlib
import http.client
import json
import shlex
import subprocess
import threading
import time
from typing import Any, Self

import psutil

LABELS = {"instance": "host-01:9100", "job": "node", "region": "eu-west-1"}


class MeasurementError(Exception):
    """A server that did not do what the measurement needs."""


class Served:
    """A running server, its HTTP API and what its processes use.

    Args:
        command: as a shell would read it; `--port 0 --bind 127.0.0.1` is added.
    """

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(
            [*shlex.split(command), "--port", "0", "--bind", "127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        announced = self._process.stdout.readline()
        self.port = json.loads(announced)["sonda_server"]["port"]
        threading.Thread(target=self._discard_stdout, daemon=True).start()
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _discard_stdout(self) -> None:
        while self._process.stdout.read1(1 << 16):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the decoded answer; anything but a 2xx ends the measurement."""
        return json.loads(self._answer(method, path, body))

    def text(self, path: str) -> str:
        """Return the answer to a GET as it is; anything but a 2xx ends the measurement."""
        return self._answer("GET", path, None).decode()

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        payload = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, payload, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise MeasurementError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def post(self, *entries: dict[str, Any]) -> list[str]:
        """Start `entries` as one body and return their ids."""
        answer = self.call("POST", "/scenarios", {"version": 2, "kind": "runnable", "scenarios": list(entries)})
        return [row["id"] for row in answer.get("scenarios", [answer])]

    def stats(self, scenario: str) -> dict[str, Any]:
        return self.call("GET", f"/scenarios/{scenario}/stats")

    def delete(self, scenarios: list[str]) -> None:
        for scenario in scenarios:
            self.call("DELETE", f"/scenarios/{scenario}")

    def wait_finished(self, scenarios: list[str], limit_secs: float) -> None:
        deadline = time.monotonic() + limit_secs
        while any(self.stats(scenario)["state"] != "finished" for scenario in scenarios):
            if time.monotonic() > deadline:
                raise MeasurementError("a scenario did not finish in time")
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_secs(self) -> float:
        """Processor seconds of all processes that live, and of those the server has reaped."""
        reaped = psutil.Process(self._process.pid).cpu_times()
        total = reaped.children_user + reaped.children_system
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def own_cpu_secs(self) -> float:
        """Processor seconds of the server's first process alone."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def private_bytes(self) -> int:
        """Memory that no other process shares, summed over all processes."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total


def entry(name: str, generator: dict[str, Any], rate: float, sink: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return one metrics entry with three labels."""
    return {
        "id": name,
        "signal_type": "metrics",
        "name": name,
        "rate": rate,
        "generator": generator,
        "encoder": {"type": "prometheus_text"},
        "sink": sink,
        "labels": LABELS,
        **more,
    }
