"""A body of a million series in a thousand segments, dealt in one process; bodies in segments, in real processes."""

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.plan import EntryPlan, RotatingLabel
from common.segments import Segment, Split
from supervisor.compiler.planning.segments import Deal
from tests.support.plans import entry_plan
from tests.support.transcripts import run

SEGMENTS = 1000
SERIES = 1_000_000


def rotating(number: int, cardinality: int, rate: float) -> tuple[EntryPlan, Split]:
    label = RotatingLabel(key="host", cardinality=cardinality, prefix="h")
    return entry_plan(id=f"e{number}", name=f"m{number}", rate=rate, dynamic_labels=(label,)), "series"


BODIES = {
    "one entry": [rotating(0, SERIES, 1e6)],
    "equal entries": [rotating(number, SERIES // 500, 1000.0) for number in range(500)],
    "fast and slow entries": [rotating(number, SERIES // 500, 1000.0 * (1 + number % 7)) for number in range(500)],
    "entries of all sizes": [rotating(number, 1750 + number, 10.0 + number) for number in range(500)],
}


@pytest.mark.parametrize("entries", BODIES.values(), ids=BODIES)
def test_a_million_series_are_dealt_to_a_thousand_segments(entries: list[tuple[EntryPlan, Split]]) -> None:
    """No series twice, none missing; equal rates within a hundredth."""
    deal = Deal(entries, SEGMENTS)
    owned: list[NDArray[np.int64]] = [np.zeros(plan.dynamic_labels[0].cardinality, np.int64) for plan, _ in entries]
    rates = np.zeros(SEGMENTS)
    series = 0
    for index in range(1, SEGMENTS + 1):
        for number, part in enumerate(deal.parts(Segment(index, SEGMENTS))):
            if part is None:
                continue
            series += part.series
            share = part.share
            owners = slice(None) if share is None else np.frombuffer(share.residues, "<i4")
            owned[number][owners] += 1
            rates[index - 1] += entries[number][0].rate * (1.0 if share is None else share.part)
    assert all((owners == 1).all() for owners in owned)
    assert series == deal.series == sum(len(owners) for owners in owned)
    assert abs(rates / rates.mean() - 1).max() < 0.01


@pytest.mark.parametrize("entries", BODIES.values(), ids=BODIES)
def test_dealing_takes_little_memory(entries: list[tuple[EntryPlan, Split]]) -> None:
    """Some bytes for each series of the largest entry, however many entries and segments there are."""
    tracemalloc.start()
    deal = Deal(entries, SEGMENTS)
    parts = [deal.parts(Segment(index, SEGMENTS)) for index in range(1, 21)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert parts
    assert peak_bytes < 64 * 1024 * 1024


@pytest.mark.parametrize("count", [3, 16])
def test_commands_write_together_what_one_does(count: int, tmp_path: Path) -> None:
    """Metrics, logs and a histogram, with gates, labels and spikes, each segment in a `sondad run` of its own."""
    # On a busy machine the ticks have the rest of the run to be fired in.
    silence = [{"at": "1s", "for": "2s"}]
    common: dict[str, Any] = {"rate": 200, "duration": "3s", "start_time": "2026-01-01T00:00:00Z"}
    common |= {"sink": {"type": "stdout"}, "gap_windows": silence}
    hosts = [{"key": "host", "prefix": "h", "cardinality": 50}]
    spikes = [{"label": "pod", "every": "300ms", "for": "100ms", "cardinality": 9, "strategy": "random"}]
    template = {"type": "template", "templates": [{"message": "a"}, {"message": "b {x}", "field_pools": {"x": ["1"]}}]}
    sine = {"type": "sine", "amplitude": 1, "period_secs": 1, "offset": 0}
    entries: list[dict[str, Any]] = [
        {"id": "up", "signal_type": "metrics", "name": "up", "generator": {"type": "flap", "up_duration": "200ms"}},
        {"signal_type": "metrics", "name": "a", "generator": sine},
        {"signal_type": "logs", "name": "l", "log_generator": template},
        {"signal_type": "histogram", "name": "h", "distribution": {"type": "exponential", "rate": 2}},
        {"signal_type": "metrics", "name": "t", "generator": {"type": "step", "step_size": 1}, "split": "ticks"},
    ]
    gated = {"while": {"ref": "up", "op": ">", "value": 0.5}, "delay": {"open": "20ms", "close": {"snap_to": 0}}}
    entries[1] |= {"cardinality_spikes": spikes} | gated
    written = [common | {"dynamic_labels": hosts} | one for one in entries]
    path = tmp_path / "body.yaml"
    path.write_text(json.dumps({"version": 2, "kind": "runnable", "scenarios": written}))

    def lines(segment: str) -> list[str]:
        done = run(["sondad", "run", str(path), "--segment", segment, "-q"], tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    with ThreadPoolExecutor(4) as pool:
        whole, *parts = pool.map(lines, ["1/1", *(f"{index}/{count}" for index in range(1, count + 1))])
    assert sorted(line for part in parts for line in part) == sorted(whole)
