"""What has become of workers and of their scenarios since the daemon started.

Written by the main loop alone, read by any thread: what several values must agree on is replaced as one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from common.specs import kind_of
from supervisor.engine.control_plane import Scenario
from supervisor.engine.endings import Ending


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over scenarios, deleted ones included.

    Attributes:
        batches: how many runs of due ticks were fired.
        deliveries: by kind of the sink and by result, `ok` or `failed`.
        events: by kind of the sink and by what became of them: `acknowledged`, `rejected`, `lost`, or `in_doubt`, which
            are some of the two before.
        accepted_events, accepted_bytes: what sinks have taken, buffered events included.
        errors: how many events were lost.
        cpu_ns: processor time of the runs.
    """

    batches: int = 0
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted_events: int = 0
    accepted_bytes: int = 0
    errors: int = 0
    cpu_ns: int = 0

    def plus(self, scenarios: Iterable[Scenario]) -> Self:
        """Return these sums and those of more scenarios."""
        deliveries, events = self.deliveries.copy(), self.events.copy()
        batches, accepted, size, errors, cpu_ns = 0, 0, 0, 0, 0
        for scenario in scenarios:
            sink_type, counters = kind_of(scenario.entry.plan.sink), scenario.counters()
            deliveries[sink_type, "ok"] += counters.deliveries
            deliveries[sink_type, "failed"] += counters.failed_deliveries
            events[sink_type, "acknowledged"] += counters.acknowledged_events
            events[sink_type, "rejected"] += counters.rejected_events
            events[sink_type, "lost"] += counters.lost_events
            events[sink_type, "in_doubt"] += counters.in_doubt_events
            batches += counters.batches
            accepted += counters.total_events
            size += counters.bytes_emitted
            errors += counters.errors
            cpu_ns += counters.cpu_ns
        return replace(
            self,
            batches=self.batches + batches,
            accepted_events=self.accepted_events + accepted,
            accepted_bytes=self.accepted_bytes + size,
            errors=self.errors + errors,
            cpu_ns=self.cpu_ns + cpu_ns,
            deliveries=deliveries,
            events=events,
        )


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
        self._gone_and_running = gone.plus([scenario]), running - {scenario}

    def totals(self) -> Totals:
        """Return the sums of now; they never fall."""
        gone, running = self._gone_and_running
        return gone.plus(running)
