"""A real VictoriaLogs: takes Loki pushes, gives back every entry with its stream and nanosecond."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.support.backends import built
from tests.support.backends.running import RunningProgram
from tests.support.ports import free_port


class Entry(NamedTuple):
    """One log entry as it was stored."""

    time_ns: int
    stream: str
    line: str
    fields: dict[str, Any]


class VictoriaLogs(RunningProgram):
    """One server with an empty store of its own; `url` is what a loki sink is given."""

    def __init__(self, directory: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        self._root = f"http://{address}"
        self.url = f"{self._root}/insert"
        command = [
            built("victoria_logs"),
            f"-storageDataPath={directory / 'data'}",
            f"-httpListenAddr={address}",
            "-retentionPeriod=100y",
            # Lines stay as they are, also when they are JSON.
            "-loki.disableMessageParsing",
        ]
        super().__init__(command, directory, lambda session: session.get(f"{self._root}/health", timeout=5).ok)

    def entries(self, query: str = "*") -> list[Entry]:
        """Return every stored entry that `query` matches, by stream and time."""
        self.session.get(f"{self._root}/internal/force_flush", timeout=20).raise_for_status()
        answer = self.session.post(f"{self._root}/select/logsql/query", data={"query": query}, timeout=60)
        answer.raise_for_status()
        rows = [json.loads(line) for line in answer.text.splitlines()]
        return sorted(map(_entry, rows), key=lambda entry: (entry.stream, entry.time_ns, entry.line))


def _entry(row: dict[str, Any]) -> Entry:
    stored = {key: row.pop(key) for key in ("_time", "_stream", "_stream_id", "_msg")}
    time_ns = int(np.datetime64(stored["_time"].removesuffix("Z"), "ns").astype(int))
    return Entry(time_ns, stored["_stream"], stored["_msg"], row)
