"""One event to one sink: the shortest work of a worker, which is parked again afterwards.

Source: docs/http.md, "Single events"; docs/sinks.md, "A single event".
"""

import numpy as np

import worker.delivery
import worker.encoders
import worker.generators
from common.counters import Counters
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch


def emit(context: SinkContext) -> int:
    """Deliver the first event of the context's entry, stamped now.

    Returns:
        Nanoseconds from encoding it to the destination's answer.

    Raises:
        EncoderError: the encoder can never take it.
        SinkError: the sink could not be opened, or did not take it.
    """
    plan, clock = context.plan, context.clock
    encoder = worker.encoders.build(plan)
    generator = worker.generators.build(plan)
    delivery = worker.delivery.build_single(context, Counters(), lambda: None)
    try:
        delivery.open()
        begun_ns = clock.monotonic_ns()
        batch = Batch(0, generator.values(0, 1), np.array([clock.wall_ns()], dtype=np.int64))
        delivery.deliver_now(batch, encoder.encode(batch))
        return clock.monotonic_ns() - begun_ns
    finally:
        delivery.abandon()
