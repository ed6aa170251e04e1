"""Kinds of generators and distributions."""

from typing import Annotated, Literal

from msgspec import Meta

from common.specs.base import U64, Duration, Positive, Spec
from common.units import duration_secs, round_half_away

MAX_SEQUENCE_VALUES = 1_000_000
"""Values of one `sequence`: 8 MB."""

MAX_TEMPLATES = 1_000
MAX_POOLS = 64
MAX_POOL_VALUES = 10_000
"""Of one log generator, one template and one pool."""


class Constant(Spec, frozen=True, kw_only=True, tag_field="type", tag="constant"):
    """The same value at every tick."""

    value: float


class Uniform(Spec, frozen=True, kw_only=True, tag_field="type", tag="uniform"):
    """Uniformly distributed over [min, max], a pure function of seed and tick."""

    min: float
    max: float
    seed: U64 = 0


class Sine(Spec, frozen=True, kw_only=True, tag_field="type", tag="sine"):
    """`offset + amplitude * sin(2*pi*t/period)`; amplitude and offset in the metric's own unit."""

    amplitude: float
    period_secs: float
    offset: float


class Sawtooth(Spec, frozen=True, kw_only=True, tag_field="type", tag="sawtooth"):
    """A ramp from min to max, repeated every period."""

    min: float
    max: float
    period_secs: float


class Sequence(Spec, frozen=True, kw_only=True, tag_field="type", tag="sequence"):
    """The listed values, one per tick, repeated or held at the last."""

    values: Annotated[tuple[float, ...], Meta(max_length=MAX_SEQUENCE_VALUES)]
    repeat: bool = True


class Spike(Spec, frozen=True, kw_only=True, tag_field="type", tag="spike"):
    """`baseline`, raised by `magnitude` for `duration_secs` at the beginning of every `interval_secs`."""

    baseline: float
    magnitude: float
    duration_secs: Annotated[float, Meta(description="number ≥ 0")]
    interval_secs: Positive


class Step(Spec, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """`start + tick * step_size`, wrapping from `max` back to `start` when `max` is given."""

    step_size: float
    start: float = 0.0
    max: float | None = None


class Flap(Spec, frozen=True, kw_only=True, tag_field="type", tag="flap"):
    """Up for `up_duration`, then down for `down_duration`, in turn; `enum` names a pair of values."""

    up_duration: Duration = "10s"
    down_duration: Duration = "5s"
    up_value: float | None = None
    down_value: float | None = None
    enum: Literal["boolean", "link_state", "oper_state", "admin_state", "neighbor_state"] | None = None

    @property
    def levels(self) -> tuple[float, float]:
        """The values up and down."""
        if self.enum is not None:
            return _FLAP_LEVELS[self.enum]
        return (
            1.0 if self.up_value is None else self.up_value,
            0.0 if self.down_value is None else self.down_value,
        )

    def ticks(self, rate: float) -> tuple[int, int]:
        """Return how many ticks it is up and down in turn at `rate` events per second; (0, 0) when there are none.

        Raises:
            DurationError: a text that is not a duration.

        Source: docs/scenarios.md, "Generators".
        """
        up, down = (_tick_count(duration_secs(text) * rate) for text in (self.up_duration, self.down_duration))
        return (max(up, 1), max(down, 1)) if up or down else (0, 0)


_FLAP_LEVELS = {
    "boolean": (1.0, 0.0),
    "link_state": (1.0, 0.0),
    "oper_state": (1.0, 2.0),
    "admin_state": (1.0, 2.0),
    "neighbor_state": (6.0, 1.0),
}
_MAX_FLAP_TICKS = 2.0**62


def _tick_count(ticks: float) -> int:
    return round_half_away(min(ticks, _MAX_FLAP_TICKS)) if ticks > 0 else 0


GeneratorSpec = Constant | Uniform | Sine | Sawtooth | Sequence | Spike | Step | Flap


class Template(Spec, frozen=True, kw_only=True):
    """A message whose `{name}` is replaced by a value of the pool of that name."""

    message: str
    field_pools: Annotated[
        dict[str, Annotated[tuple[str, ...], Meta(max_length=MAX_POOL_VALUES)]], Meta(max_length=MAX_POOLS)
    ] = {}  # noqa: RUF012 - msgspec copies an empty default


class LogTemplate(Spec, frozen=True, kw_only=True, tag_field="type", tag="template"):
    """The templates in turn, with severities drawn by weight (`info` without weights)."""

    templates: Annotated[tuple[Template, ...], Meta(max_length=MAX_TEMPLATES)]
    severity_weights: dict[str, float] | None = None
    seed: U64 = 0


class Exponential(Spec, frozen=True, kw_only=True, tag_field="type", tag="exponential"):
    """Exponential with `rate` lambda."""

    rate: Positive


class Normal(Spec, frozen=True, kw_only=True, tag_field="type", tag="normal"):
    """Gaussian."""

    mean: float
    stddev: Positive


class UniformDistribution(Spec, frozen=True, kw_only=True, tag_field="type", tag="uniform"):
    """Uniform over [min, max)."""

    min: float
    max: float


DistributionSpec = Exponential | Normal | UniformDistribution
