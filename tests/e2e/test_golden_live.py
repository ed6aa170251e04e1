"""Lines that another server of the same API wrote, against ours through HTTP, a worker and a file sink."""

import math
import re
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.golden import recorded_metrics

ENCODERS = ("prometheus_text", "json_lines")
ULPS = 2

_STAMPS = {
    "prometheus_text": (re.compile(r" \d{13}$"), " T"),
    "json_lines": (re.compile(r'"timestamp":"[^"]*"\}$'), '"timestamp":T}'),
}
_NUMBERS = {"prometheus_text": re.compile(r"\S+(?= T$)"), "json_lines": re.compile(r'(?<="value":)[^,]+')}


def without_stamp(line: str, encoder: str) -> str:
    pattern, replacement = _STAMPS[encoder]
    text, count = pattern.subn(replacement, line)
    assert count == 1, line
    return text


def same_but_for_libm(ours: str, golden: str, encoder: str) -> bool:
    """Whether two lines differ in nothing but the last digits of their value, as two libraries' sines may."""
    number = _NUMBERS[encoder]
    left, right = (float(number.findall(line)[0]) for line in (ours, golden))
    return number.sub("N", ours) == number.sub("N", golden) and abs(left - right) <= ULPS * math.ulp(right)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_lines_of_the_peer(start_server: StartServer, tmp_path: Path, encoder: str) -> None:
    """Each posted entry writes the very lines that the peer wrote, stamps aside; only a sine may differ, by 2 ulp."""
    server = start_server("--allow-path", str(tmp_path))
    chosen = recorded_metrics(encoder)
    assert len(chosen) > 30
    files = {case["entry"]["id"]: tmp_path / case["entry"]["id"] for case in chosen}
    # Their runs of half a second would lose ticks at the end on a machine that stalls; only the first lines are known.
    entries = [
        case["entry"] | {"duration": "1m", "sink": {"type": "file", "path": str(files[case["entry"]["id"]])}}
        for case in chosen
    ]
    rows = server.launch({"version": 2, "scenarios": entries})
    for case, row in zip(chosen, rows, strict=True):
        expected = case["lines"]
        server.wait_for_events(row["id"], len(expected))
        total = server.delete(f"/scenarios/{row['id']}").json()["total_events"]
        written = files[case["entry"]["id"]].read_text().splitlines()
        assert len(written) == total
        ours = [without_stamp(line, encoder) for line in written[: len(expected)]]
        if case["entry"]["generator"]["type"] == "sine":
            assert all(same_but_for_libm(*pair, encoder) for pair in zip(ours, expected, strict=True))
        else:
            assert ours == expected
