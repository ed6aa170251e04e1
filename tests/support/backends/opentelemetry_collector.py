"""A real OpenTelemetry Collector: what it receives over gRPC and HTTP stands in a file, a line a request."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.support.backends import built
from tests.support.backends.running import RunningProgram
from tests.support.ports import free_port


class OpenTelemetryCollector(RunningProgram):
    """One collector; `grpc` and `http` are what the sinks are given."""

    def __init__(self, directory: Path) -> None:
        addresses = {protocol: f"127.0.0.1:{free_port()}" for protocol in ("grpc", "http")}
        self.grpc, self.http = (f"http://{address}" for address in addresses.values())
        self._received = directory / "received.json"
        protocols = {protocol: {"endpoint": address} for protocol, address in addresses.items()}
        pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
        config = directory / "collector.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "receivers": {"otlp": {"protocols": protocols}},
                    "exporters": {"file": {"path": str(self._received), "flush_interval": "100ms"}},
                    "service": {
                        "telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"metrics": pipeline, "logs": pipeline},
                    },
                }
            )
        )
        command = [built("opentelemetry_collector"), f"--config={config}"]
        super().__init__(command, directory, lambda session: session.get(f"{self.http}/", timeout=5).status_code == 404)

    def received(self) -> list[dict[str, Any]]:
        """Return every request whose line is whole, in order."""
        text = self._received.read_text() if self._received.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def metrics(self) -> list[dict[str, Any]]:
        """Return all metrics."""
        return self._items("resourceMetrics", "scopeMetrics", "metrics")

    def log_records(self) -> list[dict[str, Any]]:
        """Return all log records."""
        return self._items("resourceLogs", "scopeLogs", "logRecords")

    def _items(self, resources: str, scopes: str, items: str) -> list[dict[str, Any]]:
        return [
            item
            for request in self.received()
            for resource in request.get(resources, ())
            for scope in resource[scopes]
            for item in scope[items]
        ]
