"""A token bucket; pure, `now` is passed in.

Source: examples/relay.yaml.
"""


class RateLimit:
    """Allows `burst` at once and `rate_per_sec` in the long run."""

    def __init__(self, rate_per_sec: float, burst: float) -> None:
        self.rate_per_sec = rate_per_sec
        self.burst = burst
        self._tokens = burst
        self._filled_at = 0.0

    def take(self, now_secs: float) -> float:
        """Take one token and return 0, or return the seconds until there is one."""
        self._tokens = min(self.burst, self._tokens + (now_secs - self._filled_at) * self.rate_per_sec)
        self._filled_at = now_secs
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate_per_sec
