"""What an encoder's Struct says it takes is what it takes."""

from typing import Any

import numpy as np
import pytest

from common.errors import EncoderError
from common.plan import Histogram, Summary
from common.specs import Constant, LogTemplate, Normal, Spec, Template, kind_of
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.ticks.batch import Batch

OBSERVED = {
    "distribution": Normal(mean=1.0, stddev=1.0),
    "observations_per_tick": 3,
    "mean_shift_per_sec": 0.0,
    "seed": 1,
}
GENERATORS: dict[str, Any] = {
    "metrics": Constant(value=1.0),
    "logs": LogTemplate(templates=(Template(message="up"),)),
    "histogram": Histogram(buckets=(1.0,), **OBSERVED),
    "summary": Summary(quantiles=(0.5,), **OBSERVED),
}


@pytest.mark.parametrize("signal", GENERATORS)
@pytest.mark.parametrize("kind", encoders.BUILDERS, ids=kind_of)
def test_an_encoder_takes_its_signals_and_refuses_the_others(kind: type[Spec], signal: str) -> None:
    """With bytes for each of its signals, and with words for the rest."""
    plan = entry_plan(signal_type=signal, generator=GENERATORS[signal], encoder=kind())
    batch = Batch(0, generators.build(plan).values(0, 2), np.array([1_731_587_696_789_000_000] * 2))
    encoder = encoders.build(plan)
    if signal in kind.signals:  # type: ignore[attr-defined]  # every encoder's Struct has them
        assert encoder.encode(batch).payload
    else:
        noun = "log" if signal == "logs" else "metric"
        with pytest.raises(EncoderError, match=f"{noun} encoding not supported by"):
            encoder.encode(batch)
