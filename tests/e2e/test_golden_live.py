"""Lines that another server of the same API wrote, against ours through HTTP, a worker and a file sink."""

import re
from itertools import cycle
from pathlib import Path

import pytest

from tests.support.golden import recorded
from tests.support.live_server import LiveServer

STAMPS = {
    "prometheus_text": re.compile(r"(?<= )\d{13}$"),
    "influx_lp": re.compile(r"(?<= )\d{19}$"),
    "json_lines": re.compile(r'(?<="timestamp":)"[^"]*"'),
    "syslog": re.compile(r"(?<=>1 )\S+"),
}
RECORDS = recorded()


def test_every_record_is_of_a_known_format() -> None:
    """No record is left out below."""
    assert len(RECORDS) == 240
    assert {record["entry"]["encoder"]["type"] for record in RECORDS} == set(STAMPS)


@pytest.mark.parametrize("encoder", STAMPS)
def test_lines_of_the_peer(shared_server: LiveServer, tmp_path: Path, encoder: str) -> None:
    """Each posted entry, whatever its signal and worker, writes the very lines that the peer wrote, stamps aside.

    Every other one has a worker of its own.
    """
    chosen = [record for record in RECORDS if record["entry"]["encoder"]["type"] == encoder]
    files = {case["entry"]["id"]: tmp_path / case["entry"]["id"] for case in chosen}
    # Their runs of half a second would lose ticks at the end on a machine that stalls; only the first lines are known.
    entries = [
        case["entry"]
        | {
            "duration": "1m",
            "isolation": isolation,
            "sink": {"type": "file", "path": str(files[case["entry"]["id"]])},
        }
        for case, isolation in zip(chosen, cycle(("process", "shared")))
    ]
    rows = shared_server.launch({"version": 2, "scenarios": entries})
    for case, row in zip(chosen, rows, strict=True):
        expected = case["lines"]
        # An event is a line at least.
        shared_server.wait_for_events(row["id"], len(expected), 30)
        total = shared_server.delete(f"/scenarios/{row['id']}").json()["total_events"]
        written = files[case["entry"]["id"]].read_text().removesuffix("\n").split("\n")
        assert len(written) % total == 0
        assert [STAMPS[encoder].sub("T", line, count=1) for line in written[: len(expected)]] == expected
