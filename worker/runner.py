"""One entry, running: schedule, generator, encoder, delivery, row of the board. Knows no process, pipe or signal.

::

    schedule ──ticks due──► generator ──values──► encoder ──bytes──► delivery ──► sink
        ▲                                                               │
        └── waiter: until the next wake-up              row: samples, counters

Source: docs/values.md, "Ticks"; docs/http.md, "Stats" and "Scrape one".
"""

from collections.abc import Callable
from typing import Final, Literal

from common.board import Counters, WorkerBoard
from common.clock import Clock
from common.current import CurrentValues
from common.errors import EncoderError
from common.lateness import Lateness
from common.messages import Start
from common.plan import EntryPlan
from common.states import State, check_transition
from worker.control.waiting import Waiter
from worker.delivery import Delivery
from worker.encoders import Encoder
from worker.gates.closing import STALE_MARKER, ClosingSamples
from worker.gates.gate import Gate
from worker.gates.links import Links
from worker.generators import OBSERVERS, Generator, most_ticks
from worker.generators.observations import Interrupted
from worker.ticks.production import Events, Production
from worker.ticks.rate import RateWindow
from worker.ticks.schedule import NEVER_NS, Schedule

Reason = Literal["duration", "stopped", "upstream"]

_ON_TIME_NS: Final = 100_000_000
"""How late a wake-up may be on a busy machine before its ticks count as overdue."""

_WATCHED_SLACK_NS: Final = 20_000_000
"""How late a tick that others wait for may be by design, out of the 50 ms in which an edge has to take effect."""

_LOOK_INTERVAL_NS: Final = 5_000_000
"""How often a run that never waits looks for commands."""


class Runner:
    """Runs one entry once.

    Args:
        plan: the entry.
        generator: its values.
        encoder: its wire format.
        delivery: makes the way to its destination, from where all is counted and what is to be called when a part of
            a batch has an outcome.
        board: where the entry shows itself.
        links: who watches the entry, and whom its gate watches.
        waiter: all waiting.
        clock: both clocks.
    """

    def __init__(
        self,
        plan: EntryPlan,
        generator: Generator,
        encoder: Encoder,
        delivery: Callable[[Counters, Callable[[], None]], Delivery],
        board: WorkerBoard,
        links: Links,
        waiter: Waiter,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._current = None if plan.signal_type == "logs" else CurrentValues(board.row.view, plan)
        self._lateness = Lateness(board.row.view)
        self._zero_stamp_ns = 0
        self._generator = generator
        self._encoder = encoder
        self._board = board
        self._links = links
        self._waiter = waiter
        self._clock = clock
        self._counters = Counters()
        self._delivery = delivery(self._counters, self._publish_progress)
        self._rate = RateWindow()
        self._gate = None if plan.gate is None else Gate(plan.gate)
        self._closing = _closing_samples(plan)
        self._holds = self._closing is not None and plan.gate is not None and plan.gate.snap_to is not None
        self._is_watchable = plan.signal_type == "metrics"

    def run(self, start: Start) -> Reason:
        """Run from the entry's start until its end; whatever happens, the row says `finished` afterwards.

        Raises:
            SinkError: the sink could not be opened, or failed under `on_sink_error: fail`.
            EncoderError: the encoder cannot take an event.
        """
        try:
            return self._run(start)
        finally:
            self._enter(State.FINISHED)

    def _run(self, start: Start) -> Reason:
        start_ns = start.start_ns + self._plan.phase_offset_ns
        if self._plan.phase_offset_ns:
            self._enter(State.PENDING)
            while not self._waiter.stopping and self._clock.monotonic_ns() < start_ns:
                self._waiter.wait_until(start_ns)
            if self._waiter.stopping:
                return "stopped"
        wall_ns = start.wall_ns + self._plan.phase_offset_ns
        anchor_ns = (wall_ns if self._plan.anchor_ns is None else self._plan.anchor_ns) + self._plan.shift_ns
        self._zero_stamp_ns = anchor_ns - start_ns
        production = Production(
            Schedule(self._plan, anchor_ns),
            self._generator,
            self._encoder,
            most_ticks(self._plan),
            looks_ahead=self._gate is None and type(self._plan.generator) not in OBSERVERS,
        )
        if self._gate is None:
            self._enter(State.RUNNING)
        else:
            self._heed(self._gate, production, start_ns, start_ns)
        self._delivery.open()
        try:
            reason = self._emit(production, start_ns)
            self._close_series()
        except EncoderError:
            self._counters.errors += 1
            self._delivery.abandon()
            raise
        except BaseException:
            self._delivery.abandon()
            raise
        self._delivery.finish()
        if self._delivery.fatal is not None:
            raise self._delivery.fatal
        return reason

    def _emit(self, production: Production, start_ns: int) -> Reason:
        """Fire ticks until the end of the run or a stop.

        A wake-up is never early. It is late by design by the board's slack, so that ticks of several milliseconds
        share one, and keeps its distance from the wake-up before; stamps are the scheduled instants anyway.
        """
        waiter, clock, board, gate = self._waiter, self._clock, self._board, self._gate
        end_ns = NEVER_NS if self._plan.duration_ns is None else start_ns + self._plan.duration_ns
        grace_ns, spacing_ns = _ON_TIME_NS, self._plan.wake_spacing_ns
        wake_ns = look_ns = 0
        while not waiter.stopping:
            now_ns = clock.monotonic_ns()
            if now_ns >= look_ns:
                waiter.look()
                look_ns = now_ns + _LOOK_INTERVAL_NS
            wake_ns = min(wake_ns, now_ns)
            if gate is not None:
                self._heed(gate, production, now_ns, start_ns)
                if gate.state is State.FINISHED:
                    return "upstream"
                if not gate.emitting:
                    if now_ns >= end_ns:
                        return "duration"
                    waiter.wait_until(min(gate.deadline_ns, end_ns))
                    continue
            try:
                events = production.take(now_ns - start_ns, grace_ns)
            except Interrupted:
                break
            if events is not None:
                self._fire(events, now_ns)
                continue
            if now_ns >= end_ns:
                return "duration"
            if production.in_gap is not self._counters.in_gap:
                self._enter_gap(now_ns)
            slack_ns = min(board.slack_ns(), _WATCHED_SLACK_NS) if self._links.watchers else board.slack_ns()
            grace_ns = _ON_TIME_NS + slack_ns
            production.look_ahead()
            wake_ns = min(max(start_ns + production.deadline_ns, wake_ns + spacing_ns) + slack_ns, end_ns)
            waiter.wait_until(wake_ns)
            look_ns = wake_ns + _LOOK_INTERVAL_NS
        return "stopped"

    def _fire(self, events: Events, now_ns: int) -> None:
        batch, counters = events.batch, self._counters
        values, stamps_ns = batch.values, batch.stamps_ns
        self._lateness.count(now_ns + self._zero_stamp_ns - stamps_ns.item(0), len(batch), now_ns)
        if self._is_watchable:
            # Before the writing, so that a sink in trouble holds up nobody who watches.
            self._links.watchers.publish(float(values[-1]), now_ns)
        delivered = 0
        for first, stop in self._delivery.deliver(batch, events.encoded):
            delivered += stop - first
            if self._closing is not None:
                self._closing.note(batch.first_tick + first, stop - first, stamps_ns.item(stop - 1), batch.spike_mask)
            if self._current is not None:
                tick, shown = batch.first_tick + first, values[first:stop]
                self._board.row.append_samples(tick, stamps_ns[first:stop], shown, batch.spike_mask)
                self._current.put(tick, shown, batch.spike_mask)
        self._rate.count(delivered, now_ns)
        counters.batches += 1
        counters.current_rate = self._rate.events_per_sec
        counters.in_gap = False
        counters.in_burst = events.in_burst
        self._publish(now_ns)
        if self._delivery.fatal is not None:
            raise self._delivery.fatal

    def _heed(self, gate: Gate, production: Production, now_ns: int, start_ns: int) -> None:
        """Act on what has become of the upstream; a segment lasts from one opening to the next closing."""
        upstream, plan = self._links.upstream, self._plan.gate
        assert plan is not None  # noqa: S101 - there is a gate
        while True:
            signal = upstream.first_signal(plan, start_ns) if gate.heard is None else upstream.signal(plan)
            if signal is gate.heard and now_ns < gate.deadline_ns and not upstream.has_news:
                return
            was_emitting = gate.emitting
            for state in gate.hear(now_ns, signal):
                self._pass_through(gate, state)
            if gate.emitting and not was_emitting:
                production.begin_segment(now_ns - start_ns)
                self._rate.reopen()
            elif was_emitting and not gate.emitting:
                production.end_segment(now_ns - start_ns)
            if not upstream.has_news:
                return

    def _pass_through(self, gate: Gate, state: State) -> None:
        """Enter a state of the gate; one in which nothing is emitted closes what was written before."""
        if state in (State.PAUSED, State.UNRESOLVED):
            self._rate.events_per_sec = self._counters.current_rate = 0.0
            if not gate.emits_in(state):
                self._close_series()
            if state is State.PAUSED and self._holds and self._counters.total_events:
                state = State.HELD
        if state is not State.FINISHED:
            self._enter(state)

    def _close_series(self) -> None:
        if self._closing is None or not self._closing:
            return
        self._delivery.close_series(
            (batch, self._encoder.encode(batch)) for batch in self._closing.take() if not self._waiter.given_up
        )
        if self._delivery.fatal is not None:
            raise self._delivery.fatal

    def _enter_gap(self, now_ns: int) -> None:
        self._counters.in_gap = True
        self._counters.in_burst = False
        self._publish(now_ns)

    def _enter(self, state: State) -> None:
        check_transition(State(self._counters.state), state)
        now_ns = self._clock.monotonic_ns()
        self._counters.state = state
        self._counters.state_since_ns = now_ns
        self._publish(now_ns)

    def _publish_progress(self) -> None:
        """Show what a request has come to: there may be many in one batch, and each may take long."""
        self._publish(self._clock.monotonic_ns())

    def _publish(self, now_ns: int) -> None:
        self._counters.heartbeat_ns = now_ns
        self._board.row.publish(self._counters)


def _closing_samples(plan: EntryPlan) -> ClosingSamples | None:
    """Return what keeps track of the series to close; None when nothing is written at a close."""
    gate = plan.gate
    if gate is None or plan.signal_type != "metrics":
        return None
    if gate.snap_to is not None:
        return ClosingSamples(plan, gate.snap_to)
    marks = plan.sink.closes_series and gate.stale_marker is not False
    return ClosingSamples(plan, STALE_MARKER) if marks else None
