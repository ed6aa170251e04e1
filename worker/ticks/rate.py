"""The measured rate of a running scenario."""

from typing import Final

_WINDOW_NS: Final = 1_000_000_000


class RateWindow:
    """Events per second over the last closed window.

    A window opens with a tick and closes with the first successful one a second later or more, which opens the next.
    All ticks of one batch are fired at one instant. Source: docs/http.md, "Stats".

    Attributes:
        events_per_sec: 0.0 until the first window has closed.
    """

    __slots__ = ("_events", "_opened_ns", "events_per_sec")

    def __init__(self) -> None:
        self.events_per_sec = 0.0
        self._opened_ns: int | None = None
        self._events = 0

    def reopen(self) -> None:
        """Let the next tick open a window: it is the first of a segment."""
        self._opened_ns = None
        self._events = 0

    def count(self, delivered: int, now_ns: int) -> None:
        """Count `delivered` ticks of a batch fired at `now_ns` (monotonic)."""
        if self._opened_ns is None:
            self._opened_ns = now_ns
            # The tick that opens a window is not counted in it.
            self._events = max(delivered - 1, 0)
        elif delivered and now_ns - self._opened_ns >= _WINDOW_NS:
            self.events_per_sec = (self._events + 1) * 1e9 / (now_ns - self._opened_ns)
            self._opened_ns = now_ns
            self._events = delivered - 1
        else:
            self._events += delivered
