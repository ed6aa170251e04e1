"""The wake-up budget: how late ticks may be fired together with others, so that many workers do not use up the machine.

Wake-ups, not events, are what many processes cost. A scenario of rate r wakes at most min(r, 1000) times per second; a
slack of s seconds makes that 1 / (1 / min(r, 1000) + s). The slack is just large enough for the sum to fit the budget,
and has a bound. Stamps stay the scheduled instants.
"""

from collections import Counter
from typing import Final

import numpy as np

from common.plan import WAKE_SPACING_NS
from supervisor.host.limits import DEFAULT_MAX_SLACK_MS

MAX_WAKEUPS_PER_SEC: Final = 1e9 / WAKE_SPACING_NS
"""Above this rate a worker fires all ticks due per wake-up anyway."""

MAX_SLACK_NS: Final = DEFAULT_MAX_SLACK_MS * 1_000_000
_HALVINGS: Final = 30


class WakeupBudget:
    """The rates of all running scenarios against one budget.

    Args:
        wakeups_per_sec: the budget of the whole machine.
        max_slack_ns: the bound of the slack.
    """

    def __init__(self, wakeups_per_sec: float, max_slack_ns: int = MAX_SLACK_NS) -> None:
        self._budget = wakeups_per_sec
        self._max_slack_ns = max_slack_ns
        self._scenarios: Counter[float] = Counter()

    def add(self, rate: float) -> None:
        """Count a scenario in; `rate` in events per second."""
        self._scenarios[min(rate, MAX_WAKEUPS_PER_SEC)] += 1

    def remove(self, rate: float) -> None:
        """Count a scenario out that was counted in with the same rate."""
        wakeups = min(rate, MAX_WAKEUPS_PER_SEC)
        self._scenarios[wakeups] -= 1
        if not self._scenarios[wakeups]:
            del self._scenarios[wakeups]

    def slack_ns(self) -> int:
        """Return the smallest slack that keeps the fleet within the budget, or else the bound."""
        rates = np.fromiter(self._scenarios, np.float64)
        counts = np.fromiter(self._scenarios.values(), np.float64)
        if counts @ rates <= self._budget:
            return 0
        low, high = 0.0, self._max_slack_ns / 1e9
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if counts @ (1 / (1 / rates + middle)) > self._budget:
                low = middle
            else:
                high = middle
        return round(high * 1e9)
