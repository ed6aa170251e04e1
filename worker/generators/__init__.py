"""Generators: tick number to value, one kind per module, built through one table. Run in a worker; do no I/O.

A generator is a pure function of tick and configuration, so every run can be replayed and any split into batches
gives the same values. Histogram and summary also count: their ticks must be asked for in order, each once.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from common.plan import EntryPlan, Histogram, ReplayColumn, ReplayRows, Summary
from common.specs import Constant, Flap, LogTemplate, Sawtooth, Sequence, Sine, Spike, Step, Uniform
from worker.generators import (
    constant,
    csv_replay,
    flap,
    histogram,
    log_replay,
    log_template,
    sawtooth,
    sequence,
    sine,
    spike,
    step,
    summary,
    uniform,
)
from worker.generators.jitter import JitteredGenerator
from worker.generators.lookahead import LookaheadGenerator
from worker.generators.observations import Observations
from worker.ticks.batch import BATCH_EVENTS


class Generator(Protocol):
    """Values of one entry."""

    def values(self, first_tick: int, count: int) -> NDArray[Any]:
        """Return a row for each of `count` consecutive ticks from `first_tick` on; `Batch.values` says what is in it.

        `count` is at most BATCH_EVENTS. The array may be a read-only view of the generator's own.
        """
        ...


BUILDERS: Final[dict[type, Callable[[Any, float], Generator]]] = {
    Constant: constant.build,
    Uniform: uniform.build,
    Sine: sine.build,
    Sawtooth: sawtooth.build,
    Sequence: sequence.build,
    Spike: spike.build,
    Step: step.build,
    Flap: flap.build,
    ReplayColumn: csv_replay.build,
    LogTemplate: log_template.build,
    ReplayRows: log_replay.build,
}
"""What the plan holds to `build(spec, rate)`, the rate in events per second."""

OBSERVERS: Final[dict[type, Callable[[Any, Observations], Generator]]] = {
    Histogram: histogram.build,
    Summary: summary.build,
}
"""What the plan holds to `build(spec, observations)`."""


_MOST_DRAWS: Final = 1_000_000


def _never() -> bool:
    return False


def build(plan: EntryPlan, interrupted: Callable[[], bool] = _never) -> Generator:
    """Return the generator of `plan`, with its jitter if it is a metrics entry.

    Args:
        plan: the entry.
        interrupted: asked now and then by a generator whose ticks may take long; when true, `values` raises
            `Interrupted`.
    """
    if isinstance(plan.generator, Histogram | Summary):
        observations = Observations(plan.generator, plan.rate, interrupted)
        return OBSERVERS[type(plan.generator)](plan.generator, observations)
    generator = BUILDERS[type(plan.generator)](plan.generator, plan.rate)
    if plan.signal_type == "metrics" and plan.jitter != 0:
        generator = JitteredGenerator(generator, plan.jitter, plan.jitter_seed)
    return LookaheadGenerator(generator)


def most_ticks(plan: EntryPlan) -> int:
    """Return how many ticks of `plan` may be asked for at a time, so that one call takes some milliseconds."""
    if isinstance(plan.generator, Histogram | Summary):
        return max(min(BATCH_EVENTS, _MOST_DRAWS // plan.generator.observations_per_tick), 1)
    return BATCH_EVENTS
