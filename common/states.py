"""Scenario states, their wire names and the transitions that are legal.

Everything that decides which state may follow which lives here. Source: docs/states.md.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """State of one scenario; the integer is what the board holds, `wire` is what clients read."""

    PENDING = 0
    RUNNING = 1
    PAUSED = 2
    HELD = 3
    UNRESOLVED = 4
    FINISHED = 5

    @property
    def wire(self) -> str:
        """The name in HTTP answers."""
        return self.name.lower()


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    # Held only where a run goes on that was interrupted.
    State.PENDING: frozenset({State.RUNNING, State.PAUSED, State.HELD, State.UNRESOLVED, State.FINISHED}),
    State.RUNNING: frozenset({State.PAUSED, State.HELD, State.UNRESOLVED, State.FINISHED}),
    State.PAUSED: frozenset({State.RUNNING, State.UNRESOLVED, State.FINISHED}),
    State.HELD: frozenset({State.RUNNING, State.UNRESOLVED, State.FINISHED}),
    State.UNRESOLVED: frozenset({State.PENDING, State.RUNNING, State.PAUSED, State.HELD, State.FINISHED}),
    State.FINISHED: frozenset(),
}


def check_transition(current: State, new: State) -> None:
    """Raise ValueError when `new` may not follow `current`; staying in a state is always legal."""
    if new is not current and new not in TRANSITIONS[current]:
        raise ValueError(f"illegal state change: {current.wire} -> {new.wire}")
