"""One event to one sink: the shortest work of a worker, which is parked again afterwards.

Source: docs/http.md, "Single events"; docs/sinks.md, "A single event".
"""

import logging

import numpy as np

import worker.encoders
import worker.generators
import worker.sinks
from worker.delivery.retrying import Retrying
from worker.sinks import RequestSink, Sink
from worker.sinks.batching import Piece
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch, Encoded


def emit(context: SinkContext) -> int:
    """Deliver the first event of the context's entry, stamped now.

    Returns:
        Nanoseconds from encoding it to the destination's word.

    Raises:
        EncoderError: the encoder can never take it.
        SinkError: the sink could not be opened, or did not take it.
    """
    plan, clock = context.plan, context.clock
    encoder = worker.encoders.build(plan)
    generator = worker.generators.build(plan)
    sink = worker.sinks.build(plan.sink, context)
    try:
        sink.open()
        begun_ns = clock.monotonic_ns()
        batch = Batch(0, generator.values(0, 1), np.array([clock.wall_ns()], dtype=np.int64))
        _deliver(sink, batch, encoder.encode(batch), context)
        return clock.monotonic_ns() - begun_ns
    finally:
        sink.close()


def _deliver(sink: Sink | RequestSink, batch: Batch, encoded: Encoded, context: SinkContext) -> None:
    retrying = Retrying(getattr(context.plan.sink, "retry", None), context.waiter)
    if not isinstance(sink, RequestSink):
        retrying.attempt(lambda: sink.write(encoded))
        sink.flush()
        return
    written_ns = int(batch.stamps_ns[0])
    piece = Piece(batch, 0, encoded.records_per_event, encoded.payload, encoded.known_ends, written_ns)
    request = sink.request([piece])
    refusal = retrying.attempt(lambda: sink.send(request))
    if refusal is not None:
        context.waiter.log(logging.WARNING, refusal)
