"""Histograms and summaries. Source: docs/scenarios.md, "Histograms and summaries"; docs/http.md, "Answers"."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from common.errors import DecodeError
from common.plan import Histogram, Summary
from common.specs import DistributionSpec, Exponential, Normal, UniformDistribution
from common.units import number_text
from supervisor.compiler.compiled import CompiledEntry
from supervisor.compiler.language.blocks import MAX_OBSERVATIONS

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DEFAULT_QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
DEFAULT_OBSERVATIONS: Final = 100


def plan_observations(entry: CompiledEntry, distribution: DistributionSpec) -> Histogram | Summary:
    """Return what a histogram or summary entry observes.

    Raises:
        DecodeError: with the text that the client reads.
    """
    bounds: tuple[float, ...]
    if entry.signal_type == "histogram":
        bounds = DEFAULT_BUCKETS if entry.buckets is None else entry.buckets
        _check_buckets(bounds)
    else:
        bounds = DEFAULT_QUANTILES if entry.quantiles is None else entry.quantiles
        _check_quantiles(bounds)
    _check_distribution(distribution)
    count = DEFAULT_OBSERVATIONS if entry.observations_per_tick is None else entry.observations_per_tick
    if count == 0:
        raise DecodeError("observations_per_tick must be greater than zero", at=("observations_per_tick",))
    if count > MAX_OBSERVATIONS:
        raise DecodeError(
            f"observations_per_tick must be at most {MAX_OBSERVATIONS}, got {count}", at=("observations_per_tick",)
        )
    shift, seed = entry.mean_shift_per_sec or 0.0, entry.seed or 0
    if entry.signal_type == "histogram":
        return Histogram(
            distribution=distribution,
            buckets=bounds,
            observations_per_tick=count,
            mean_shift_per_sec=shift,
            seed=seed,
        )
    return Summary(
        distribution=distribution,
        quantiles=bounds,
        observations_per_tick=count,
        mean_shift_per_sec=shift,
        seed=seed,
    )


def _check_buckets(bounds: Sequence[float]) -> None:
    if not bounds:
        raise DecodeError("buckets must not be empty", at=("buckets",))
    for index, bound in enumerate(bounds):
        if not 0 < bound < math.inf:
            raise DecodeError(
                f"buckets[{index}] must be positive and finite, got {number_text(bound)}", at=("buckets", index)
            )
    _check_ascending("buckets", bounds)


def _check_quantiles(quantiles: Sequence[float]) -> None:
    if not quantiles:
        raise DecodeError("quantiles must not be empty", at=("quantiles",))
    for index, quantile in enumerate(quantiles):
        if not 0 < quantile < 1:
            raise DecodeError(
                f"quantiles[{index}] must be in (0, 1), got {number_text(quantile)}", at=("quantiles", index)
            )
    _check_ascending("quantiles", quantiles)


def _check_ascending(field: str, values: Sequence[float]) -> None:
    for index, (previous, following) in enumerate(pairwise(values), start=1):
        if previous >= following:
            raise DecodeError(
                f"{field} must be strictly sorted: {number_text(previous)} >= {number_text(following)}",
                at=(field, index),
            )


def _check_distribution(distribution: DistributionSpec) -> None:
    match distribution:
        case Exponential(rate=rate):
            if not rate > 0:
                raise DecodeError(
                    f"distribution.rate must be positive, got {number_text(rate)}", at=("distribution", "rate")
                )
        case Normal(mean=mean, stddev=stddev):
            if not stddev > 0:
                raise DecodeError(
                    f"distribution.stddev must be positive, got {number_text(stddev)}", at=("distribution", "stddev")
                )
            if math.isnan(mean):
                raise DecodeError("distribution.mean must not be NaN", at=("distribution", "mean"))
        case UniformDistribution(min=low, max=high):
            if math.isnan(low) or math.isnan(high):
                raise DecodeError("distribution.min and distribution.max must not be NaN", at=("distribution",))
            if low >= high:
                raise DecodeError(
                    f"distribution.min ({number_text(low)}) must be strictly less than distribution.max "
                    f"({number_text(high)})",
                    at=("distribution", "max"),
                )
