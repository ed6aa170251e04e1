"""What the relay counts about itself since its start; check counters live with the checks."""

from collections import Counter
from collections.abc import Collection
from typing import Final

# Upper bounds of `sondad_relay_forward_seconds`.
FORWARD_BUCKETS_SECS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RelayCounters:
    """Plain counters, changed on the main thread only. Source: docs/relay.md, "Reading the state"."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.denied: Counter[tuple[str, str]] = Counter()
        self.duplicates: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter({"ok": 0, "error": 0})
        self.forwarded: Counter[str] = Counter({"ok": 0, "retry": 0, "rejected": 0})
        self.forward_buckets = [0] * (len(FORWARD_BUCKETS_SECS) + 1)
        self.forward_sum_secs = 0.0

    def forget_clients(self, known: Collection[str]) -> None:
        """Drop what was counted of clients that are not `known` any more."""
        for counter in (self.requests, self.denied):
            for key in [key for key in counter if key[0] and key[0] not in known]:
                del counter[key]
        for client in [client for client in self.duplicates if client and client not in known]:
            del self.duplicates[client]

    def observe_forward(self, secs: float) -> None:
        """Count one upstream request that took `secs`."""
        self.forward_sum_secs += secs
        for at, bound in enumerate(FORWARD_BUCKETS_SECS):
            if secs <= bound:
                self.forward_buckets[at] += 1
                return
        self.forward_buckets[-1] += 1
