"""The figures of a run that is over. Source: docs/command-line.md, "Verdicts of a run"."""

import math
from collections.abc import Sequence

import numpy as np

from common.lateness import BUCKETS, quantile_secs
from common.plan import Plan
from common.units import number_text
from supervisor.cli.reports import Requirement
from supervisor.cli.running.expected import FIGURES, Expected
from supervisor.cli.running.session import Ended, RunOutcome

_QUANTILES = {"lateness_p50": 0.5, "lateness_p90": 0.9, "lateness_p99": 0.99}


def figures_of(plan: Plan, outcome: RunOutcome) -> dict[str, float]:
    """Return every figure; NaN for one that the run does not have."""
    counters = [entry.counters for entry in outcome.entries]
    lateness = sum((entry.lateness for entry in outcome.entries), start=np.zeros(BUCKETS, np.uint64))
    return {
        "events": float(sum(one.total_events for one in counters)),
        "bytes": float(sum(one.bytes_emitted for one in counters)),
        "errors": float(sum(one.errors for one in counters)),
        "sink_failures": float(sum(one.total_sink_failures for one in counters)),
        "elapsed": outcome.elapsed_secs,
        "rate": _lowest_rate(plan, outcome.entries),
        **{name: quantile_secs(lateness, quantile) for name, quantile in _QUANTILES.items()},
    }


def judge(expected: Sequence[Expected], figures: dict[str, float]) -> list[Requirement]:
    """Return a requirement for each expectation."""
    return [
        Requirement(
            one.text, one.holds(figures[one.figure]), f"{one.figure} is {_value(one.figure, figures[one.figure])}"
        )
        for one in expected
    ]


def _lowest_rate(plan: Plan, entries: Sequence[Ended]) -> float:
    """Return the smallest share of its rate that an entry has reached, of those that emit all the time."""
    shares = []
    for planned, ended in zip(plan.entries, entries, strict=True):
        entry = planned.plan
        if entry.gate or entry.gaps or entry.gap_windows or entry.bursts:
            continue
        secs = ended.elapsed_secs - entry.phase_offset_ns / 1e9
        if entry.duration_ns is not None:
            secs = min(secs, entry.duration_ns / 1e9)
        if secs > 0:
            shares.append(ended.counters.total_events / (entry.own_rate * secs))
    return min(shares, default=math.nan)


def _value(figure: str, value: float) -> str:
    if math.isnan(value):
        return "not known"
    if FIGURES[figure] == "s":
        return f"{value:.3f}s" if value >= 1 else f"{value * 1000:.3f}ms"
    return number_text(round(value, 4))
