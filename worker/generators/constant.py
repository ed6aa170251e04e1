"""`constant`: the same value at every tick, a sequence of one. Source: docs/scenarios.md, "Generators"."""

import numpy as np

from common.specs import Constant
from worker.generators.sequence import SequenceGenerator


def build(spec: Constant, _rate: float) -> SequenceGenerator:
    """Return the generator of `spec`; the rate plays no part."""
    return SequenceGenerator(np.array([spec.value]), repeat=True)
