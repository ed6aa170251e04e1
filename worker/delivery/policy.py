"""What decides about the requests of one entry, whatever carries them."""

from collections.abc import Callable
from dataclasses import dataclass

from common.clock import Clock
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """What is tried again, where it is counted, and what ends the run.

    Attributes:
        retrying: the sink's `retry` block.
        outcomes: where all is counted.
        clock: for ages of the buffer, and the instants of writing.
        progressed: called after every request, however it ended, so that its outcome can be shown at once.
        fails: whether the first failure ends the scenario (`on_sink_error: fail`).
    """

    retrying: Retrying
    outcomes: Outcomes
    clock: Clock
    progressed: Callable[[], None]
    fails: bool
