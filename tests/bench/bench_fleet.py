"""Measures a fleet on this machine: how closely together hosts start, and what a run over them costs beside the load.

Hosts start at one instant of the wall clock; here they have the same clock, so what is left is how punctual each is.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

SONDAD = Path(sys.executable).with_name("sondad")
SIZES = (2, 4)
TARGET_MS = 50
RUNS = 3
BODY = """\
version: 2
scenarios:
  - {signal_type: metrics, name: bench, rate: RATE, duration: 3s, generator: {type: constant, value: 1},
     dynamic_labels: [{key: host, prefix: h, cardinality: 64}], sink: {type: tcp, address: "ADDRESS"}}
"""


class FirstLines:
    """A TCP server that notes when the first line of each connection has come, and its stamp."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        late_ms = self.late_ms

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline()
                arrived_ms = time.time() * 1e3
                late_ms.append(arrived_ms - int(line.split()[2]))
                while self.rfile.read(65536):
                    pass

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def run(hosts: int, rate: int, directory: Path) -> tuple[list[float], int, float]:
    """Return how late the first line of each host was, ms, how many events there were, and processor seconds of all."""
    lines = FirstLines()
    (directory / "body.yaml").write_text(BODY.replace("RATE", str(rate)).replace("ADDRESS", lines.address))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [SONDAD, "fleet", "run", "body.yaml", "--local", str(hosts), "--report", "report.json"],
        cwd=directory,
        env={**os.environ, "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines.close()
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    report = json.loads((directory / "report.json").read_text())
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return lines.late_ms, sum(entry["events"] for entry in report["entries"]), used


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for hosts in SIZES:
            skews = []
            for _ in range(RUNS):
                late_ms, _, used = run(hosts, 6400, Path(folder))
                skews.append(max(late_ms) - min(late_ms))
            print(
                f"start skew of {hosts} hosts   {', '.join(f'{skew:.1f}' for skew in skews)} ms   "
                f"(target {TARGET_MS} ms); {used:.1f} s of processor time for starting, running and ending all of it"
            )


if __name__ == "__main__":
    main()
