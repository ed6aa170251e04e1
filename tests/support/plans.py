"""Plans built directly, without the compiler: for tests of generators, encoders and labels."""

from typing import Any

import msgspec

from common.plan import EntryPlan, RotatingLabel
from common.specs import Constant, EncoderSpec, GeneratorSpec, Memory, PrometheusText


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


def plan_of(entry: dict[str, Any]) -> EntryPlan:
    """Return the plan of a metrics entry as users write it, its rotating labels included."""
    return entry_plan(
        name=entry["name"],
        rate=float(entry["rate"]),
        generator=msgspec.convert(entry["generator"], GeneratorSpec, strict=False),
        jitter=float(entry.get("jitter", 0.0)),
        jitter_seed=entry.get("jitter_seed", 0),
        labels=entry.get("labels", {}),
        dynamic_labels=tuple(_rotating(label) for label in entry.get("dynamic_labels", ())),
        encoder=msgspec.convert(entry["encoder"], EncoderSpec),
    )


def _rotating(label: dict[str, Any]) -> RotatingLabel:
    values = label.get("values")
    return RotatingLabel(
        key=label["key"],
        cardinality=len(values) if values else label["cardinality"],
        prefix=label.get("prefix") or "",
        values=None if values is None else tuple(values),
    )
