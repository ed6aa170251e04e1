"""Measures the Kafka sink into a broker within the Kafka library: what the client costs, not what a broker can take.

    .venv/bin/python tests/bench/bench_kafka.py [--secs 4]

PEER_SERVER names the binary of another server of the same API, measured in the same run. Close everything else first.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from served import Served, entry

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.mock_kafka import MockKafka

OURS = f"{os.path.dirname(sys.executable)}/sonda-server"
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 2e8
SINE = {"type": "sine", "amplitude": 50.0, "period_secs": 60, "offset": 50.0}
LINE = b'm{instance="host-01:9100",job="node",region="eu-west-1"} 42.123456789012 1700000000000\n'


@dataclass
class Case:
    """One scenario to measure.

    Attributes:
        reach: how many times what the peer reaches.
        has_peer: whether the peer knows it.
    """

    name: str
    sink: dict[str, Any] = field(default_factory=dict)
    reach: str = ""
    has_peer: bool = False


CASES = [
    Case("records of 64 KiB (default)", reach="5 × peer", has_peer=True),
    Case("records of 64 KiB, lz4", {"compression": "lz4"}),
    Case("a record for each event", {"records": "event"}),
    Case("a record for each event, with a key", {"records": "event", "key": "instance"}),
]


def per_cpu_second(server: Served, case: Case, address: str, secs: int) -> float:
    """Events for each second of processor time, as fast as it goes."""
    sink = {"type": "kafka", "brokers": address, "topic": "load", **case.sink}
    (row,) = server.post(entry("m", SINE, UNREACHED, sink))
    time.sleep(1)
    # While it runs: what a worker has used is not to be seen once it has ended.
    events, spent = server.stats(row)["total_events"], server.cpu_secs()
    time.sleep(secs)
    stats = server.stats(row)
    events, spent = stats["total_events"] - events, server.cpu_secs() - spent
    server.delete([row])
    if stats["errors"]:
        raise SystemExit(f"{case.name}: {stats['last_sink_error']}")
    return events / spent


def plain_loop(address: str, secs: float = 1.5) -> float:
    """Return how many ready lines a loop of `produce` hands over, a record each, for each second of processor time."""
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    producer.list_topics("load", 10)
    events, begin, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < begin + secs:
        for _ in range(1000):
            producer.produce("load", LINE)
        events += 1000
        producer.poll(0)
        while len(producer) > 500_000:
            producer.poll(0.01)
    producer.flush(30)
    return events / (time.process_time() - spent)


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the Kafka sink")
    parser.add_argument("--secs", type=int, default=4)
    secs = parser.parse_args().secs
    peer_command = os.environ.get("PEER_SERVER")
    print(f"{'events for each CPU second':44}{'measured':>12}  {'to reach':10} beside")
    with MockKafka() as broker:
        loop = plain_loop(broker.address)
        for case in CASES:
            with Served(OURS) as server:
                figure = per_cpu_second(server, case, broker.address, secs)
            beside = f"{figure / loop:.1f} × a loop of produce()"
            if peer_command and case.has_peer:
                with Served(peer_command) as peer:
                    beside += f", {figure / per_cpu_second(peer, case, broker.address, secs):.1f} × peer"
            print(f"{case.name:44}{figure / 1e6:>10.2f} M  {case.reach:10} {beside}", flush=True)


if __name__ == "__main__":
    main()
