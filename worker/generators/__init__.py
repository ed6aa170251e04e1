"""Generators: tick number to value, one kind per module, built through one table. Run in a worker; do no I/O.

A generator is a pure function of tick and configuration, so every run can be replayed and any split into batches
gives the same values. Histogram and summary also count: their ticks must be asked for in order, each once.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from common.own_ticks import own_ticks
from common.plan import EntryPlan, Histogram, ReplayColumn, ReplayRows, Summary, ValueOrigin
from common.specs import Constant, Flap, LogTemplate, Sawtooth, Sequence, Sine, Spike, Step, Uniform
from worker.generators import (
    constant,
    csv_replay,
    flap,
    histogram,
    log_replay,
    log_template,
    observations,
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
from worker.generators.places import GeneratorChange
from worker.generators.tick_generator import TickGenerator
from worker.long_work import never
from worker.ticks.batch import BATCH_EVENTS, USUAL_BATCH_EVENTS


class Generator(Protocol):
    """Values of one entry."""

    def values(self, first_tick: int, count: int) -> NDArray[Any]:
        """Return a row for each of `count` consecutive ticks from `first_tick` on; `Batch.values` says what is in it.

        `count` is at most BATCH_EVENTS. The array may be a read-only view of the generator's own.
        """
        ...


@runtime_checkable
class Observer(Generator, Protocol):
    """A generator that counts over the whole run.

    Attributes:
        totals: what was counted until now, all there is to know of the ticks before; as long for one entry always.
        counted: the same as a row of values, without what is of one tick alone.
    """

    totals: list[float]

    @property
    def counted(self) -> NDArray[np.float64]: ...  # noqa: D102


BUILDERS: Final[dict[type, Callable[[Any, float, ValueOrigin], TickGenerator]]] = {
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
"""What the plan holds to `build(spec, rate, origin)`, the rate in events per second."""

OBSERVERS: Final[dict[type, Callable[[Any, Observations], Observer]]] = {
    Histogram: histogram.build,
    Summary: summary.build,
}
"""What the plan holds to `build(spec, observations)`."""

GOING_ON: Final[dict[type, Callable[[GeneratorChange[Any]], ValueOrigin]]] = {
    Sine: sine.go_on,
    Sawtooth: sawtooth.go_on,
    Sequence: sequence.go_on,
    Spike: spike.go_on,
    Step: step.go_on,
    Flap: flap.go_on,
    Histogram: observations.go_on,
    Summary: observations.go_on,
}
"""What the plan holds to where its values go on after a change; the values of the others depend on the tick alone."""


_MOST_DRAWS: Final = 1_000_000

_BATCH_REQUESTS: Final = 4
"""How many requests a batch may be.

PERF: a request leaves the caches cold, so what a batch costs by itself, half of a request of a thousand records, is
shared by some.
"""


def build(plan: EntryPlan, interrupted: Callable[[], bool] = never) -> Generator:
    """Return the generator of `plan`, with its jitter if it is a metrics entry.

    Args:
        plan: the entry.
        interrupted: asked now and then by a generator whose ticks may take long; when true, `values` raises
            `Interrupted`.
    """
    if isinstance(plan.generator, Histogram | Summary):
        observed = Observations(plan.generator, plan.rate, interrupted, plan.origin)
        return OBSERVERS[type(plan.generator)](plan.generator, observed)
    generator = BUILDERS[type(plan.generator)](plan.generator, plan.rate, plan.origin)
    if plan.signal_type == "metrics" and plan.jitter != 0:
        generator = JitteredGenerator(generator, plan.jitter, plan.jitter_seed)
    return LookaheadGenerator(generator, own_ticks(plan))


def origin_at(before: EntryPlan, after: EntryPlan, tick: int) -> ValueOrigin:
    """Return where the values of `after` go on at `tick`, when those of `before` end there; both have one generator."""
    go_on = GOING_ON.get(type(after.generator))
    if go_on is None:
        return before.origin
    return go_on(GeneratorChange(before.generator, before.rate, before.origin, after.generator, after.rate, tick))


def most_ticks(plan: EntryPlan) -> int:
    """Return how many ticks of `plan` may be asked for at a time: one call takes some milliseconds at most."""
    if isinstance(plan.generator, Histogram | Summary):
        return max(min(USUAL_BATCH_EVENTS, _MOST_DRAWS // plan.generator.observations_per_tick), 1)
    # PERF: log records cost what they do however many there are.
    if plan.signal_type == "logs":
        return USUAL_BATCH_EVENTS
    # PERF: large requests leave the caches cold, too, and what a batch costs by itself is shared by more events.
    if plan.sink.has_large_requests:
        return BATCH_EVENTS
    return min(max(plan.sink.request_records * _BATCH_REQUESTS, USUAL_BATCH_EVENTS), BATCH_EVENTS)
