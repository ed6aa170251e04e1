"""The gate's decisions against tables, and against everything an upstream can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.plan import GatePlan
from common.states import State, check_transition
from worker.gates.gate import Gate, Signal
from worker.ticks.schedule import NEVER_NS

MS = 1_000_000
ABSENT, SILENT, OPEN, CLOSED, GONE = Signal.ABSENT, Signal.SILENT, Signal.OPEN, Signal.CLOSED, Signal.GONE


def gate(open_ms: int = 0, close_ms: int = 0, if_unresolved: str = "pending") -> Gate:
    return Gate(
        GatePlan(
            scenario_name="other",
            ref="up",
            op=">",
            value=0.5,
            open_delay_ns=open_ms * MS,
            close_delay_ns=close_ms * MS,
            if_unresolved=if_unresolved,  # type: ignore[arg-type] # one of three words
        )
    )


def gate_in(state: State, **delays: int) -> Gate:
    """A gate that has come to `state` at instant 0."""
    one = gate(**delays)
    way = {
        State.PENDING: SILENT,
        State.RUNNING: OPEN,
        State.PAUSED: CLOSED,
        State.UNRESOLVED: ABSENT,
    }
    one.hear(0, way[state])
    assert one.state is state
    return one


@pytest.mark.parametrize(
    ("signal", "entered"),
    [
        (OPEN, (State.RUNNING,)),
        (CLOSED, (State.PAUSED,)),
        (SILENT, ()),
        (ABSENT, (State.UNRESOLVED,)),
        (GONE, (State.FINISHED,)),
    ],
)
def test_what_holds_at_the_start_decides_without_delay(signal: Signal, entered: tuple[State, ...]) -> None:
    """Open is running although there is a `delay.open`, closed is paused, no value leaves it pending."""
    assert gate(open_ms=100, close_ms=100).hear(0, signal) == entered


def test_a_live_opening_has_to_last() -> None:
    """From pending and from paused, `delay.open` passes first; a close edge meanwhile cancels it."""
    for state, cancelled in ((State.PENDING, (State.PAUSED,)), (State.PAUSED, ())):
        one = gate_in(state, open_ms=100)
        assert one.hear(10 * MS, OPEN) == ()
        assert one.deadline_ns == 110 * MS
        assert one.hear(109 * MS, OPEN) == ()
        assert one.hear(109 * MS, CLOSED) == cancelled
        assert one.deadline_ns == NEVER_NS
        assert one.hear(120 * MS, OPEN) == ()
        assert one.hear(220 * MS, OPEN) == (State.RUNNING,)
        assert one.emitting


def test_a_closing_stops_emission_at_once_and_counts_when_it_has_lasted() -> None:
    """The state stays running for `delay.close`; an opening meanwhile resumes without a change of state."""
    one = gate_in(State.RUNNING, close_ms=100)
    assert one.hear(10 * MS, CLOSED) == ()
    assert (one.state, one.emitting, one.deadline_ns) == (State.RUNNING, False, 110 * MS)
    assert one.hear(100 * MS, OPEN) == ()
    assert one.emitting
    assert one.hear(200 * MS, CLOSED) == ()
    assert one.hear(300 * MS, CLOSED) == (State.PAUSED,)


def test_without_delay_edges_count_at_once() -> None:
    """Both edges, in the call in which they are heard."""
    one = gate_in(State.RUNNING)
    assert one.hear(5, CLOSED) == (State.PAUSED,)
    assert one.hear(6, OPEN) == (State.RUNNING,)


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.PAUSED])
def test_the_loss_of_another_body_leaves_unresolved(state: State) -> None:
    """At once, from every state."""
    one = gate_in(state, open_ms=100, close_ms=100)
    assert one.hear(5, ABSENT) == (State.UNRESOLVED,)
    assert not one.emitting
    assert one.hear(6, ABSENT) == ()


def test_a_loss_while_closing_commits_the_close_first() -> None:
    """The close is not forgotten over the loss."""
    one = gate_in(State.RUNNING, close_ms=100)
    one.hear(1, CLOSED)
    assert one.hear(2, ABSENT) == (State.PAUSED, State.UNRESOLVED)
    assert one.deadline_ns == NEVER_NS


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.PAUSED, State.UNRESOLVED])
def test_the_loss_of_an_entry_of_the_same_body_is_the_end(state: State) -> None:
    """In every state, debounced or not."""
    one = gate_in(state, open_ms=100, close_ms=100)
    one.hear(1, CLOSED if state is State.RUNNING else SILENT)
    assert one.hear(2, GONE) == (State.FINISHED,)


def test_a_resolved_gate_opens_by_way_of_pending() -> None:
    """Without delay; until there is a value it stays unresolved."""
    one = gate_in(State.UNRESOLVED, open_ms=100)
    assert one.hear(1, SILENT) == ()
    assert one.hear(2, OPEN) == (State.PENDING, State.RUNNING)


def test_a_resolved_gate_that_is_closed_pauses() -> None:
    """Without delay."""
    assert gate_in(State.UNRESOLVED, close_ms=100).hear(1, CLOSED) == (State.PAUSED,)


def test_a_gate_that_is_open_while_unresolved_emits_through() -> None:
    """It emits in state unresolved, and becomes running without an interruption."""
    one = gate(if_unresolved="open")
    assert one.hear(0, ABSENT) == (State.UNRESOLVED,)
    assert one.emitting
    assert one.hear(1, OPEN) == (State.RUNNING,)
    assert one.hear(2, ABSENT) == (State.UNRESOLVED,)
    assert one.emitting
    assert one.hear(3, CLOSED) == (State.PAUSED,)
    assert not one.emitting


class GateMachine(RuleBasedStateMachine):
    """Whatever happens, in whatever order and at whatever pace."""

    open_ms = 30
    close_ms = 50

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.gate = gate(self.open_ms, self.close_ms)
        self.state = State.PENDING
        self.signal = SILENT
        self.edge_ns = 0
        self.begun = False

    def hear(self) -> None:
        first = not self.begun
        self.begun = True
        before = self.state
        for state in self.gate.hear(self.now_ns, self.signal):
            check_transition(self.state, state)
            self.state = state
        lasted_ns = self.now_ns - self.edge_ns
        if before is State.RUNNING and self.signal is CLOSED:
            assert (self.state is State.PAUSED) == (lasted_ns >= self.close_ms * MS)
        if before is State.PAUSED and self.signal is OPEN:
            assert (self.state is State.RUNNING) == (lasted_ns >= self.open_ms * MS)
        if before is State.PENDING and self.signal is OPEN and not first:
            assert (self.state is State.RUNNING) == (lasted_ns >= self.open_ms * MS)

    @precondition(lambda self: self.state is not State.FINISHED)
    @rule(signal=st.sampled_from([ABSENT, OPEN, CLOSED, OPEN, CLOSED]))
    def change(self, signal: Signal) -> None:
        if signal is not self.signal:
            self.signal = signal
            self.edge_ns = self.now_ns
        self.hear()

    @rule(ms=st.integers(0, 60))
    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS
        if self.state is not State.FINISHED:
            self.hear()

    @precondition(lambda self: self.state is not State.FINISHED)
    @rule()
    def wait_for_the_deadline(self) -> None:
        if self.gate.deadline_ns != NEVER_NS:
            self.now_ns = max(self.now_ns, self.gate.deadline_ns)
            self.hear()
            assert self.gate.deadline_ns == NEVER_NS

    @precondition(lambda self: self.state is not State.FINISHED)
    @rule()
    def lose_for_ever(self) -> None:
        self.signal = GONE
        self.hear()
        assert self.state is State.FINISHED

    @invariant()
    def it_emits_exactly_while_running_and_not_closing(self) -> None:
        assert self.gate.state is self.state
        assert self.gate.emitting == (self.state is State.RUNNING and self.signal is not CLOSED)

    @invariant()
    def it_wants_to_be_called_again_only_while_an_edge_has_to_last(self) -> None:
        opening = self.begun and self.state in (State.PENDING, State.PAUSED) and self.signal is OPEN
        closing = self.state is State.RUNNING and self.signal is CLOSED
        assert (self.gate.deadline_ns != NEVER_NS) == (opening or closing)


TestGateMachine = GateMachine.TestCase


@given(st.lists(st.sampled_from(list(Signal)), max_size=20), st.sampled_from(["open", "closed", "pending"]))
def test_every_transition_is_legal(signals: list[Signal], if_unresolved: str) -> None:
    """Without delays, for every mode; nothing follows finished."""
    one = gate(if_unresolved=if_unresolved)
    state = State.PENDING
    for signal in signals:
        for entered in one.hear(0, signal):
            check_transition(state, entered)
            state = entered
        if state is State.FINISHED:
            break
