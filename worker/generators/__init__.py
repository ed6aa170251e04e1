"""Generators: tick number to value, one kind a module, built through one table. Run in a worker; do no I/O.

A generator is a pure function of tick and configuration, so every run can be replayed and any split into batches
gives the same values.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from common.plan import EntryPlan
from common.specs import Constant, Sawtooth, Sequence, Sine, Spike, Step, Uniform
from worker.generators import constant, sawtooth, sequence, sine, spike, step, uniform
from worker.generators.jitter import JitteredGenerator
from worker.generators.lookahead import LookaheadGenerator


class Generator(Protocol):
    """Values of one entry."""

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]: the values of `count` consecutive ticks from `first_tick` on.

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
}
"""What the plan holds to `build(spec, rate)`, the rate in events per second."""


def build(plan: EntryPlan) -> Generator:
    """Return the generator of `plan`, with its jitter."""
    generator = BUILDERS[type(plan.generator)](plan.generator, plan.rate)
    if plan.jitter != 0:
        generator = JitteredGenerator(generator, plan.jitter, plan.jitter_seed)
    return LookaheadGenerator(generator)
