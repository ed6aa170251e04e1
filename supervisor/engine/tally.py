"""What has become of workers and of their scenarios since the daemon started.

Written by the main loop alone, read by any thread: what several values must agree on is replaced as one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from common.board import Counters
from common.specs import kind_of
from supervisor.engine.control_plane import Scenario
from supervisor.engine.endings import Ending


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over scenarios, deleted ones included.

    Attributes:
        batches: how many runs of due ticks were fired.
        deliveries: by kind of the sink and by result, `ok` or `failed`.
    """

    batches: int = 0
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)

    def plus(self, sink_type: str, counters: Counters) -> Self:
        """Return these sums and those of one more scenario."""
        deliveries = self.deliveries.copy()
        deliveries[sink_type, "ok"] += counters.deliveries
        deliveries[sink_type, "failed"] += counters.failed_deliveries
        return type(self)(self.batches + counters.batches, deliveries)


class Tally:
    """Counts endings of workers, and adds up what scenarios have done.

    Attributes:
        endings: how many workers ended in which way.
        stdout_closed: whether the reader of stdout is gone.
    """

    def __init__(self) -> None:
        self.endings: dict[Ending, int] = {"finished": 0, "stopped": 0, "killed": 0, "crashed": 0}
        self.stdout_closed = False
        # One reference, so that a reader never finds a scenario in both, or in neither.
        self._gone_and_running: tuple[Totals, frozenset[Scenario]] = (Totals(), frozenset())

    @property
    def running(self) -> int:
        """How many scenarios have a worker."""
        return len(self._gone_and_running[1])

    def started(self, scenarios: Iterable[Scenario]) -> None:
        """Note scenarios whose workers were told to start."""
        gone, running = self._gone_and_running
        self._gone_and_running = gone, running.union(scenarios)

    def ended(self, scenario: Scenario) -> None:
        """Note that the worker of a scenario is gone, its counters are final."""
        gone, running = self._gone_and_running
        final = gone.plus(kind_of(scenario.entry.plan.sink), scenario.counters())
        self._gone_and_running = final, running - {scenario}

    def totals(self) -> Totals:
        """Return the sums of now; they never fall."""
        totals, running = self._gone_and_running
        for scenario in running:
            totals = totals.plus(kind_of(scenario.entry.plan.sink), scenario.counters())
        return totals
