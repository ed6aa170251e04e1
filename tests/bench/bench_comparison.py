"""Measures what README compares with the other implementation, in both directions, and prints its table.

    PEER_SERVER=/path/to/sonda-server PEER_SONDA=/path/to/sonda \\
        .venv/bin/python tests/bench/bench_comparison.py [--secs 4]

Both are measured in the same run, one after the other. Close everything else first.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench_command_line import OURS as OUR_COMMAND
from bench_command_line import SCENARIO, first_output_secs
from bench_server import GENERATORS, OURS, UNREACHED, lateness_ms, percentile
from served import Served, entry

NULL = {"type": "file", "path": "/dev/null"}


@dataclass
class Compared:
    """One row: a figure of both.

    Attributes:
        more: whether more of it is better.
        form: prints a figure.
        words: what the better one and the worse one are called.
    """

    name: str
    ours: float
    peer: float
    form: Callable[[float], str]
    words: tuple[str, str] = ("faster", "slower")
    more: bool = False

    def row(self) -> str:
        """As Markdown."""
        ratio = self.ours / self.peer if self.more else self.peer / self.ours
        verdict = f"{ratio:.1f} × {self.words[0]}" if ratio >= 1 else f"{1 / ratio:.1f} × {self.words[1]}"
        return f"| {self.name} | {self.form(self.ours)} | {self.form(self.peer)} | {verdict} |"


def millions(events: float) -> str:
    return f"{events / 1e6:.2f} M"


def milliseconds(secs: float) -> str:
    return f"{secs * 1e3:.0f} ms" if secs >= 0.1 else f"{secs * 1e3:.2g} ms"


def megabytes(size: float) -> str:
    return f"{size / 1e6:.2g} MB"


def cores(share: float) -> str:
    return f"{share:.3f} core"


def per_cpu_second(server: Served, secs: int, generator: str, encoder: str) -> float:
    """Events for each second of processor time, as fast as it goes, into the null device."""
    (row,) = server.post(entry("m", GENERATORS[generator], UNREACHED, NULL, encoder={"type": encoder}))
    time.sleep(1)
    # While it runs: what a worker has used is not to be seen once it has ended.
    events, spent = server.stats(row)["total_events"], server.cpu_secs()
    time.sleep(secs)
    events, spent = server.stats(row)["total_events"] - events, server.cpu_secs() - spent
    server.delete([row])
    return events / spent


def fleet(server: Served, count: int, rate: float, secs: int) -> tuple[float, float]:
    """Cores that so many scenarios take, and the private memory of each."""
    before = server.private_bytes()
    rows = server.post(*(entry(f"f{index}", GENERATORS["sine"], rate, NULL) for index in range(count)))
    time.sleep(2)
    cpu, begin = server.cpu_secs(), time.monotonic()
    time.sleep(secs)
    share = (server.cpu_secs() - cpu) / (time.monotonic() - begin)
    memory = (server.private_bytes() - before) / count
    server.delete(rows)
    return share, memory


def created_secs(server: Served, times: int) -> float:
    """Median time from POST to 201."""
    took = []
    for index in range(times):
        begin = time.perf_counter()
        rows = server.post(entry(f"s{index}", GENERATORS["constant"], 10, NULL))
        took.append(time.perf_counter() - begin)
        server.delete(rows)
    return statistics.median(took)


def servers(ours: Served, shared: Served, peer: Served, secs: int) -> Iterator[Compared]:
    """What the daemons do."""
    yield Compared(
        "memory of a daemon that does nothing", ours.private_bytes(), peer.private_bytes(), megabytes, MEMORY
    )
    for name, generator, encoder in RATES:
        both = [per_cpu_second(server, secs, generator, encoder) for server in (ours, peer)]
        yield Compared(f"{name}, events per CPU second", both[0], both[1], millions, more=True)
    for rate in (100, 10_000):
        late = [percentile(lateness_ms(server, rate, secs)[0], 0.99) / 1e3 for server in (ours, peer)]
        yield Compared(f"lateness at {rate:,} events/s, p99", late[0], late[1], milliseconds, ("earlier", "later"))
    theirs, their_memory = fleet(peer, 100, 100, secs)
    own, own_memory = fleet(ours, 100, 100, secs)
    yield Compared("100 scenarios at 100 events/s, a process each", own, theirs, cores, MONEY)
    yield Compared("memory of each of them", own_memory, their_memory, megabytes, MEMORY)
    own, own_memory = fleet(shared, 100, 100, secs)
    yield Compared("the same with `--isolation shared`", own, theirs, cores, MONEY)
    yield Compared("memory of each of them", own_memory, their_memory, megabytes, MEMORY)
    yield Compared("POST to 201", created_secs(ours, 25), created_secs(peer, 25), milliseconds)


def commands(peer_sonda: str) -> Iterator[Compared]:
    """What the command lines do: a binary against an interpreter."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(SCENARIO)
        file.flush()
        for name, arguments in (("`sonda --help`", ["--help"]), ("`sonda run`, first event", ["run", file.name])):
            both = [
                statistics.median(first_output_secs([program, *arguments]) for _ in range(10))
                for program in (OUR_COMMAND, peer_sonda)
            ]
            yield Compared(name, both[0], both[1], milliseconds)


MONEY = ("cheaper", "dearer")
MEMORY = ("smaller", "larger")
RATES: tuple[tuple[str, str, str], ...] = (
    ("Prometheus text, `sawtooth`", "sawtooth", "prometheus_text"),
    ("Prometheus text, `sine`", "sine", "prometheus_text"),
    ("JSON lines, `constant`", "constant", "json_lines"),
    ("Influx lines, `sawtooth`", "sawtooth", "influx_lp"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="compare with another implementation")
    parser.add_argument("--secs", type=int, default=4, help="length of each measurement")
    secs = parser.parse_args().secs
    peers: dict[str, Any] = {name: os.environ.get(name) for name in ("PEER_SERVER", "PEER_SONDA")}
    if not all(peers.values()):
        print("nothing to compare with: PEER_SERVER and PEER_SONDA name the other binaries")
        return 0
    print(f"Measured on {datetime.now(UTC):%Y-%m-%d}:\n")
    print("| | sondad | peer | sondad is |\n|---|---|---|---|")
    with Served(OURS) as ours, Served(f"{OURS} --isolation shared") as shared, Served(peers["PEER_SERVER"]) as peer:
        for compared in servers(ours, shared, peer, secs):
            print(compared.row(), flush=True)
    for compared in commands(peers["PEER_SONDA"]):
        print(compared.row(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
