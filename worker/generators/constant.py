"""`constant`: the same value at every tick, a sequence of one. Source: docs/scenarios.md, "Generators"."""

import numpy as np

from common.plan import ValueOrigin
from common.specs import Constant
from worker.generators.sequence import SequenceGenerator


def build(spec: Constant, _rate: float, _origin: ValueOrigin) -> SequenceGenerator:
    """Return the generator of `spec`; nothing else plays a part."""
    return SequenceGenerator(np.array([spec.value]), repeat=True)
