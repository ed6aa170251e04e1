"""The memory sink: no destination, for measuring everything before it."""

import sys
from collections import deque

from common.clock import Clock
from common.specs import Memory
from worker.sinks.context import SinkContext
from worker.ticks.batch import Encoded


class MemorySink:
    """Accepts everything; with `capture` it keeps the newest events.

    Attributes:
        captured: pairs of wall clock (ns since the epoch) and the bytes of one event, oldest first.
    """

    def __init__(self, spec: Memory, clock: Clock) -> None:
        self.captured: deque[tuple[int, bytes]] = deque(maxlen=min(max(spec.max_events, 1), sys.maxsize))
        self._captures = spec.capture
        self._clock = clock

    def open(self) -> None:
        """Do nothing."""

    def write(self, encoded: Encoded) -> None:
        """Keep the events when capturing."""
        if self._captures:
            now_ns = self._clock.wall_ns()
            start = 0
            for end in encoded.record_ends().tolist():
                self.captured.append((now_ns, encoded.payload[start:end]))
                start = end

    def close(self) -> None:
        """Do nothing; what was captured stays."""


def build(spec: Memory, context: SinkContext) -> MemorySink:
    """Return the sink of `spec`."""
    return MemorySink(spec, context.clock)
