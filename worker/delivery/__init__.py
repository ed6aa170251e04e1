"""The policy around sinks: what is tried again, what is counted, what ends the run.

One protocol with four implementations: `direct.py` hands every batch to its sink at once, `batched.py` gathers records
for sinks that send requests, `laned.py` has several of these in flight, and so has `pipelined.py`, for sinks whose one
connection carries several. The table that the sink stands in, its kind and its `max_in_flight` say which an entry gets.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from common.counters import Counters
from common.errors import SinkError
from common.plan import EntryPlan
from worker import sinks
from worker.delivery.batched import BatchedDelivery
from worker.delivery.dealing import Dealing, lanes_of
from worker.delivery.direct import DirectDelivery
from worker.delivery.laned import LanedDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.pipelined import PipelinedDelivery
from worker.delivery.policy import RequestPolicy
from worker.delivery.retrying import Retrying
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch, Encoded


class Delivery(Protocol):
    """The way of one entry's events to its sink.

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
        next_tick: the number of the first tick that is neither with the destination nor given up.
        waiting_events: how many of those that count wait for a request, from `next_tick` on.
        counted: which events of the newest batch count so far, as ranges [start, stop).
    """

    fatal: SinkError | None
    counted: list[tuple[int, int]]

    @property
    def next_tick(self) -> int: ...  # noqa: D102

    @property
    def waiting_events(self) -> int: ...  # noqa: D102

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

    def settle(self) -> None:
        """Wait for answers to what was sent; a run does it before it waits for its next tick.

        Failures are counted, and the first is `fatal` under `on_sink_error: fail`.
        """
        ...

    def flush(self) -> None:
        """Deliver what waits for a request; a failure counts, and is `fatal` under `on_sink_error: fail`."""
        ...

    def relabel(self, plan: EntryPlan) -> None:
        """Go on with other static labels; nothing may wait."""
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


class SingleDelivery(Delivery, Protocol):
    """The way of a single event, or of an entry that does one thing at a time."""

    def deliver_now(self, batch: Batch, encoded: Encoded) -> None:
        """Deliver a batch that is not part of a run and wait for the destination's answer; nothing is counted.

        Raises:
            SinkError: it was not delivered.
        """
        ...


def build(context: SinkContext, counters: Counters, progressed: Callable[[], None]) -> Delivery:
    """Return the delivery of the context's entry, its sink not open yet.

    Args:
        context: the entry and what its sink gets from the worker.
        counters: where all is counted.
        progressed: called when a part of a batch has an outcome that can be shown.
    """
    plan = context.plan
    count = lanes_of(plan)
    if count == 1 or context.lanes is None:
        return build_single(context, counters, progressed)
    return LanedDelivery(
        context.lanes,
        lambda lane: sinks.REQUESTERS[type(plan.sink)](plan.sink, replace(context, waiter=lane)),
        lambda lane: Retrying(plan.sink.retry, lane),
        Dealing(plan, count),
        count,
        Outcomes(plan, counters, context.waiter, context.clock),
        context.clock,
        progressed,
        fails=plan.on_sink_error == "fail",
    )


def build_single(context: SinkContext, counters: Counters, progressed: Callable[[], None]) -> SingleDelivery:
    """Return the same for one thing at a time, whatever `max_in_flight` says."""
    plan = context.plan
    retrying = Retrying(plan.sink.retry, context.waiter)
    outcomes = Outcomes(plan, counters, context.waiter, context.clock)
    fails = plan.on_sink_error == "fail"
    kind = type(plan.sink)
    if kind in sinks.BUILDERS:
        sink = sinks.BUILDERS[kind](plan.sink, replace(context, doubt=outcomes.doubt))
        return DirectDelivery(sink, retrying, outcomes, fails=fails)
    requester = sinks.REQUESTERS[kind](plan.sink, context)
    policy = RequestPolicy(retrying, outcomes, context.clock, progressed, fails)
    if isinstance(requester, sinks.PipelinedSink):
        return PipelinedDelivery(requester, policy)
    return BatchedDelivery(requester, policy)
