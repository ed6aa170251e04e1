"""Several scenarios on one stdout pipe: whole lines, all of them."""

import re
import threading
from collections import defaultdict

from tests.conftest import StartServer
from tests.support.live_server import LiveServer

RATE = 100_000
EVENTS = 100_000
LINE = re.compile(rb'(\w+)\{shard="(\w+)"\} (\d+) (\d{13})')


class PipeReader(threading.Thread):
    """Reads a daemon's stdout to its end, as a log collector would."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self._stdout = server.stdout
        self.chunks: list[bytes] = []
        self.start()

    def run(self) -> None:
        while chunk := self._stdout.read(1 << 20):
            self.chunks.append(chunk)


def test_two_fast_scenarios_share_a_pipe(start_server: StartServer) -> None:
    """Two at 100 000 events/s each: every line parses, none is missing or doubled, counts match the stats."""
    server = start_server(piped_stdout=True)
    reader = PipeReader(server)
    rows = server.launch(
        {
            "version": 2,
            "defaults": {"rate": RATE, "sink": {"type": "stdout"}},
            "scenarios": [
                {
                    "id": name,
                    "signal_type": "metrics",
                    "name": name,
                    "generator": {"type": "step", "step_size": 1},
                    # Longer than PIPE_BUF every now and then, where the kernel itself no longer keeps writes apart.
                    "dynamic_labels": [{"key": "shard", "values": ["a", "b" * 5000, *"c" * 98]}],
                }
                for name in ("left", "right")
            ],
        }
    )
    for row in rows:
        server.wait_for_events(row["id"], EVENTS, timeout_secs=120)
    totals = {row["name"]: server.delete(f"/scenarios/{row['id']}").json()["total_events"] for row in rows}
    assert server.stop() == 0
    reader.join(30)
    assert not reader.is_alive()

    lines = b"".join(reader.chunks).split(b"\n")
    assert lines.pop() == b"", "the last line is whole"
    ticks: dict[bytes, list[int]] = defaultdict(list)
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line[:200]
        ticks[match[1]].append(int(match[3]))
    for name, total in totals.items():
        assert total >= EVENTS
        assert ticks[name.encode()] == list(range(total))
