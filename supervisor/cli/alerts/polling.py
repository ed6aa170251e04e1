"""Looks at alerts again and again until each of them is settled. Source: docs/command-line.md, "test"."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from supervisor.cli.alerts.expectations import Expectation, Observation, Source
from supervisor.cli.queries import QueryError


@dataclass(slots=True)
class Polled:
    """An expectation and what was seen of it, times since the anchor."""

    expectation: Expectation
    deadline_secs: float
    seen: list[Observation] = field(default_factory=list)


class Poller:
    """One loop over all expectations that are not settled.

    Args:
        source: where to look.
        polled: what to look at; written to.
        anchor: monotonic instant that times count from.
        interval_secs: pause between rounds.
        is_settled: whether an observation needs no other one.
    """

    def __init__(
        self,
        source: Source,
        polled: Sequence[Polled],
        anchor: float,
        interval_secs: float,
        is_settled: Callable[[Observation], bool],
    ) -> None:
        self._source = source
        self._polled = polled
        self._anchor = anchor
        self._interval_secs = interval_secs
        self._is_settled = is_settled
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Poll in a thread of its own."""
        self._thread = threading.Thread(target=self.poll, name="alert-poller", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until everything is settled."""
        while self._thread is not None and self._thread.is_alive():
            # In steps, so that a signal is handled meanwhile.
            self._thread.join(0.1)

    def cancel(self) -> None:
        """Stop after the query that is under way; returns at once."""
        self._cancelled.set()

    def poll(self) -> None:
        """Look until everything is settled."""
        pending = list(self._polled)
        while pending and not self._cancelled.is_set():
            for one in list(pending):
                seen = self._look(one.expectation)
                one.seen.append(seen)
                if self._is_settled(seen) or seen.secs >= one.deadline_secs:
                    pending.remove(one)
                if self._cancelled.is_set():
                    return
            if pending:
                self._cancelled.wait(self._interval_secs)

    def _look(self, expectation: Expectation) -> Observation:
        try:
            seen = self._source.look(expectation)
        except QueryError as exc:
            seen = Observation(0, None, str(exc))
        return replace(seen, secs=time.monotonic() - self._anchor)
