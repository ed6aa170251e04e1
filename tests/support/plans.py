"""Plans built directly, without the compiler: for tests of generators, encoders and labels."""

from typing import Any

import msgspec

from common.plan import Cycle, EntryPlan, GeneratorPlan, Histogram, LabelSpike, RotatingLabel, Summary
from common.specs import (
    Constant,
    DistributionSpec,
    EncoderSpec,
    GeneratorSpec,
    LogTemplate,
    Memory,
    PrometheusText,
)

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DEFAULT_QUANTILES = (0.5, 0.9, 0.95, 0.99)


def entry_plan(**fields: Any) -> EntryPlan:
    """Return a plan with `fields`, and something harmless for the required rest."""
    required: dict[str, Any] = {
        "id": None,
        "name": "x",
        "rate": 1.0,
        "duration_ns": None,
        "generator": Constant(value=1.0),
        "labels": {},
        "encoder": PrometheusText(),
        "sink": Memory(),
    }
    return EntryPlan(**(required | fields))


def label_spike(cycle: Cycle, **fields: Any) -> LabelSpike:
    """Return a label that is there in the windows of `cycle`: `k`, with one of a few values."""
    usual: dict[str, Any] = {"key": "k", "cardinality": 3, "prefix": "k_", "strategy": "counter", "seed": 0}
    return LabelSpike(cycle=cycle, **usual | fields)


def plan_of(entry: dict[str, Any]) -> EntryPlan:
    """Return the plan of an entry as users write it, less its schedule."""
    return entry_plan(
        signal_type=entry["signal_type"],
        name=entry["name"],
        rate=float(entry["rate"]),
        generator=_generator(entry),
        jitter=float(entry.get("jitter", 0.0)),
        jitter_seed=entry.get("jitter_seed", 0),
        labels=dict(sorted(entry.get("labels", {}).items())),
        dynamic_labels=tuple(_rotating(label) for label in entry.get("dynamic_labels", ())),
        encoder=msgspec.convert(entry["encoder"], EncoderSpec),
    )


def _generator(entry: dict[str, Any]) -> GeneratorPlan:
    match entry["signal_type"]:
        case "metrics":
            return msgspec.convert(entry["generator"], GeneratorSpec, strict=False)
        case "logs":
            return msgspec.convert(entry["log_generator"], LogTemplate)
    drawn: dict[str, Any] = {
        "distribution": msgspec.convert(entry["distribution"], DistributionSpec),
        "observations_per_tick": entry.get("observations_per_tick", 100),
        "mean_shift_per_sec": float(entry.get("mean_shift_per_sec", 0.0)),
        "seed": entry.get("seed", 0),
    }
    if entry["signal_type"] == "histogram":
        return Histogram(buckets=tuple(entry.get("buckets", DEFAULT_BUCKETS)), **drawn)
    return Summary(quantiles=tuple(entry.get("quantiles", DEFAULT_QUANTILES)), **drawn)


def _rotating(label: dict[str, Any]) -> RotatingLabel:
    values = label.get("values")
    return RotatingLabel(
        key=label["key"],
        cardinality=len(values) if values else label["cardinality"],
        prefix=label.get("prefix") or "",
        values=None if values is None else tuple(values),
    )
