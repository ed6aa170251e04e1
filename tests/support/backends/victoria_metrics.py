"""A real VictoriaMetrics: takes Prometheus text and Influx lines, gives back every sample."""

import json
from pathlib import Path
from typing import Any

from tests.support.backends import backend
from tests.support.backends.running import RunningProgram
from tests.support.ports import free_port


class VictoriaMetrics(RunningProgram):
    """One server with an empty store of its own; takes Influx lines at `influx_address` too."""

    def __init__(self, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.influx_address = f"127.0.0.1:{free_port()}"
        command = [
            backend("victoria-metrics"),
            f"-storageDataPath={directory / 'data'}",
            f"-httpListenAddr={self.url.removeprefix('http://')}",
            f"-influxListenAddr={self.influx_address}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
        ]
        super().__init__(command, directory, lambda session: session.get(f"{self.url}/health", timeout=5).ok)

    def series(self, selector: str) -> list[dict[str, Any]]:
        """Return every sample of the matching series: `metric`, `values` and `timestamps` (ms), in time order."""
        self.session.get(f"{self.url}/internal/force_flush", timeout=20).raise_for_status()
        answer = self.session.get(f"{self.url}/api/v1/export", params={"match[]": selector}, timeout=20)
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines()]
