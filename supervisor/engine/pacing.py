"""How late ticks may be fired together with others: as the number of wake-ups demands, and as a busy machine does.

The wake-up budget knows what a fleet will ask for; what the machine has left, only the lateness of ticks and the share
of its processors that is taken tell. So once a second both are looked at: while ticks are later than they may be and
no processor time is left, the slack grows, because the same ticks in fewer wake-ups cost less. At its bound the machine
is overloaded: ticks are late, none is dropped.
"""

import logging
from typing import Final

from common.board import Board
from common.logs import fields
from supervisor.engine.wakeups import MAX_SLACK_NS, WakeupBudget

logger = logging.getLogger(__name__)

TOLERATED_NS: Final = 20_000_000
"""How much later than allowed nine of ten ticks may be on a machine that is merely busy."""

BUSY_SHARE: Final = 0.9
PATIENCE: Final = 3
"""For so many seconds in a row ticks are late at the bound before the machine is called overloaded, and in time before
it no longer is."""

_FIRST_SLACK_NS: Final = 2_000_000
_GROWTH: Final = 1.5
_DECAY: Final = 0.8


class Overload:
    """What the lateness of ticks demands. Pure.

    Args:
        max_slack_ns: the bound of the slack.

    Attributes:
        slack_ns: how late ticks may be fired.
        is_on: whether the machine cannot keep up, even so.
    """

    def __init__(self, max_slack_ns: int = MAX_SLACK_NS) -> None:
        self.slack_ns = 0
        self.is_on = False
        self._max_slack_ns = max_slack_ns
        self._seconds = 0

    def observe(self, late_ns: float, slack_ns: int, busy_share: float) -> None:
        """Take in how the last second was.

        Args:
            late_ns: the lateness that nine of ten ticks did not exceed.
            slack_ns: how late they were allowed to be.
            busy_share: which part of the processors' time was taken, by whomever.
        """
        is_late = late_ns > slack_ns + TOLERATED_NS and busy_share >= BUSY_SHARE
        if is_late:
            self.slack_ns = min(max(int(max(self.slack_ns, slack_ns) * _GROWTH), _FIRST_SLACK_NS), self._max_slack_ns)
        elif busy_share < BUSY_SHARE:
            self.slack_ns = int(self.slack_ns * _DECAY) if self.slack_ns > _FIRST_SLACK_NS else 0
        changes = is_late and slack_ns >= self._max_slack_ns if not self.is_on else not is_late
        self._seconds = self._seconds + 1 if changes else 0
        if self._seconds >= PATIENCE:
            self.is_on = not self.is_on
            self._seconds = 0


class Pacing:
    """The one number on the board that all workers follow.

    Args:
        board: where it stands.
        budget: what the rates of running scenarios demand.
        overload: what their lateness demands.
    """

    def __init__(self, board: Board, budget: WakeupBudget, overload: Overload) -> None:
        self._board = board
        self._budget = budget
        self._overload = overload

    @property
    def overloaded(self) -> bool:
        """Whether the machine cannot keep up."""
        return self._overload.is_on

    def add(self, rate: float) -> None:
        """Count a scenario in; `settle` is to follow."""
        self._budget.add(rate)

    def remove(self, rate: float) -> None:
        """Count a scenario out."""
        self._budget.remove(rate)
        self.settle()

    def settle(self) -> None:
        """Show the slack that holds from now on."""
        self._board.set_slack_ns(max(self._budget.slack_ns(), self._overload.slack_ns))

    def observe(self, late_ns: float, busy_share: float) -> None:
        """Take in how the last second was; arguments as of `Overload.observe`."""
        was_on = self._overload.is_on
        self._overload.observe(late_ns, self._board.slack_ns(), busy_share)
        self.settle()
        if self._overload.is_on and not was_on:
            shown = {"late_ms": round(late_ns / 1e6), "busy": f"{busy_share:.0%}"}
            logger.warning("the machine is overloaded: ticks are late", extra=fields(**shown))
        elif was_on and not self._overload.is_on:
            logger.info("the machine is no longer overloaded")
