"""Deliveries to sinks of a test's own."""

from collections.abc import Callable

from common.clock import Clock
from common.counters import Counters
from common.plan import EntryPlan
from worker.control.waiting import Waiter
from worker.delivery import Delivery
from worker.delivery.direct import DirectDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.sinks import Sink


def direct_to(
    sink: Sink, plan: EntryPlan, waiter: Waiter, clock: Clock
) -> Callable[[Counters, Callable[[], None]], Delivery]:
    """Return what a runner of `plan` takes for its delivery, with `sink` at the end of it."""

    def build(counters: Counters, _progressed: Callable[[], None]) -> Delivery:
        outcomes = Outcomes(plan, counters, waiter, clock)
        retrying = Retrying(plan.sink.retry, waiter)
        return DirectDelivery(sink, retrying, outcomes, fails=plan.on_sink_error == "fail")

    return build
