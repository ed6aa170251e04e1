"""The policy around sinks: what is tried again, what is counted, what ends the run.

One protocol with two implementations: `direct.py` hands every batch to its sink at once, `batched.py` gathers records
for sinks that send requests. The table that the sink stands in says which of them an entry gets.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from common.board import Counters
from common.errors import SinkError
from worker import sinks
from worker.delivery.batched import BatchedDelivery
from worker.delivery.direct import DirectDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch, Encoded


class Delivery(Protocol):
    """The way of one entry's events to its sink.

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
    """

    fatal: SinkError | None

    def open(self) -> None:
        """Open the sink.

        Raises:
            SinkOpenError: it cannot be opened; it is counted.
        """
        ...

    def deliver(self, batch: Batch, encoded: Encoded) -> list[tuple[int, int]]:
        """Deliver a batch, or take it to be delivered later; return which of its events count, as ranges [start, stop).

        What fails is counted. After the first failure under `on_sink_error: fail`, `fatal` is set and the rest is not
        tried.
        """
        ...

    def deliver_now(self, batch: Batch, encoded: Encoded) -> None:
        """Deliver a batch that is not part of a run and wait for the destination's answer; nothing is counted.

        Raises:
            SinkError: it was not delivered.
        """
        ...

    def close_series(self, batches: Iterable[tuple[Batch, Encoded]]) -> None:
        """Deliver last samples and whatever waits; the first failure ends that, and is `fatal` under `fail`."""
        ...

    def finish(self) -> None:
        """Deliver what waits and close; a failure is counted, logged, and `fatal` under `on_sink_error: fail`."""
        ...

    def abandon(self) -> None:
        """Close and leave what waits, after a failure that ends the scenario."""
        ...


def build(context: SinkContext, counters: Counters, progressed: Callable[[], None]) -> Delivery:
    """Return the delivery of the context's entry, its sink not open yet.

    Args:
        context: the entry and what its sink gets from the worker.
        counters: where all is counted.
        progressed: called when a part of a batch has an outcome that can be shown.
    """
    plan = context.plan
    retrying = Retrying(plan.sink.retry, context.waiter)
    outcomes = Outcomes(plan, counters, context.waiter, context.clock)
    fails = plan.on_sink_error == "fail"
    kind = type(plan.sink)
    if kind in sinks.BUILDERS:
        return DirectDelivery(sinks.BUILDERS[kind](plan.sink, context), retrying, outcomes, fails=fails)
    sink = sinks.REQUESTERS[kind](plan.sink, context)
    return BatchedDelivery(sink, retrying, outcomes, context.clock, progressed, fails=fails)
