"""The gate of an entry: what it hears of its upstream, and how long, decides its state. Pure: waits for nothing.

::

                              no value yet
                    ┌──────────── pending ──open, for delay.open──┐
                    │ closed         ▲                            ▼
    absent ◄──►     ▼                │ (passing)               running ◄── reopened within delay.close: no change
    unresolved ──► paused ◄──────────┼── closed, for delay.close ─┘
        ▲           └────────────────┼── open, for delay.open ────►
        └── the other body's entry ──┘
            is not there                 gone, in any state ──► finished

Emission stops with the close edge, the state changes when the close is committed. What is here called paused is shown
as held where the last emitted value was replaced. Source: docs/states.md, "Gates" and "Across bodies".
"""

from enum import Enum, auto
from typing import Final

from common.plan import GatePlan
from common.states import State
from worker.ticks.schedule import NEVER_NS


class Signal(Enum):
    """What a gate knows of its upstream at an instant."""

    ABSENT = auto()
    """The other body's entry does not run, or not any more."""

    SILENT = auto()
    """It runs and has not published a value yet."""

    OPEN = auto()
    CLOSED = auto()

    GONE = auto()
    """The entry of the same body has ended, and will not come back."""


_NOTHING: Final[tuple[State, ...]] = ()


class Gate:
    """State of one gated entry from its own start on; before that it is pending whatever the upstream does.

    Args:
        plan: delays, and what to do while the upstream is absent.
        state: that of a run that goes on; PENDING for one that begins.

    Attributes:
        state: the newest of the states that `hear` returned.
        deadline_ns: when to call `hear` again although it would say the same.
        heard: what `hear` was told last.
        emitting: whether ticks may be fired now; not while a close edge waits for its end.
    """

    def __init__(self, plan: GatePlan, state: State = State.PENDING) -> None:
        self.state = state
        self.deadline_ns = NEVER_NS
        self.heard: Signal | None = None
        self._open_delay_ns = plan.open_delay_ns
        self._close_delay_ns = plan.close_delay_ns
        self._emits_unresolved = plan.if_unresolved == "open"
        self.emitting = self.emits_in(state)

    def emits_in(self, state: State) -> bool:
        """Return whether ticks are fired in `state`."""
        return state is State.RUNNING or (state is State.UNRESOLVED and self._emits_unresolved)

    def hear(self, now_ns: int, signal: Signal) -> tuple[State, ...]:
        """Take in what is known of the upstream at `now_ns` (monotonic), and return the states entered, in order.

        The first call is at the entry's own start: a gate that is open by then opens without delay.
        """
        first = self.heard is None
        self.heard = signal
        entered = self._decide(now_ns, signal, first=first)
        self.emitting = self.emits_in(self.state) and self.deadline_ns == NEVER_NS
        return entered

    def _decide(self, now_ns: int, signal: Signal, *, first: bool) -> tuple[State, ...]:
        match signal:
            case Signal.GONE:
                return self._enter(State.FINISHED)
            case Signal.ABSENT:
                return self._lose()
            case Signal.OPEN:
                return self._open(now_ns, 0 if first else self._open_delay_ns)
            case Signal.CLOSED:
                return self._close(now_ns)
            case Signal.SILENT:
                return _NOTHING

    def _lose(self) -> tuple[State, ...]:
        if self.state is State.UNRESOLVED:
            return _NOTHING
        if self.state is State.RUNNING and not self.emitting:
            # The loss must not undo a close that was under way.
            return self._enter(State.PAUSED, State.UNRESOLVED)
        return self._enter(State.UNRESOLVED)

    def _open(self, now_ns: int, delay_ns: int) -> tuple[State, ...]:
        match self.state:
            case State.RUNNING:
                self.deadline_ns = NEVER_NS
                return _NOTHING
            case State.UNRESOLVED if self._emits_unresolved:
                return self._enter(State.RUNNING)
            case State.UNRESOLVED:
                return self._enter(State.PENDING, State.RUNNING)
        return self._enter(State.RUNNING) if self._lasted(now_ns, delay_ns) else _NOTHING

    def _close(self, now_ns: int) -> tuple[State, ...]:
        match self.state:
            case State.PAUSED:
                self.deadline_ns = NEVER_NS
                return _NOTHING
            case State.RUNNING if not self._lasted(now_ns, self._close_delay_ns):
                return _NOTHING
        return self._enter(State.PAUSED)

    def _lasted(self, now_ns: int, delay_ns: int) -> bool:
        """Return whether the edge has lasted long enough; the first time it is heard of, its time begins."""
        if self.deadline_ns == NEVER_NS:
            self.deadline_ns = now_ns + delay_ns
        return now_ns >= self.deadline_ns

    def _enter(self, *states: State) -> tuple[State, ...]:
        self.deadline_ns = NEVER_NS
        self.state = states[-1]
        return states
