"""One entry, running: schedule, generator, encoder, delivery, row of the board. Knows no process, pipe or signal.

::

    schedule ──ticks due──► generator ──values──► encoder ──bytes──► delivery ──► sink
        ▲                                                               │
        └── waiter: until the next wake-up              row: samples, counters

Source: docs/values.md, "Ticks"; docs/http.md, "Stats" and "Scrape one".
"""

from collections.abc import Callable
from typing import Final, Literal

from common.board import WorkerBoard
from common.checkpoints import CheckpointWriter, Resume
from common.clock import Clock
from common.counters import Counters
from common.errors import EncoderError
from common.messages import Retune, Start
from common.plan import EntryPlan
from common.states import State, check_transition
from worker.control.waiting import RunWaiter, nothing
from worker.delivery import Delivery
from worker.delivery.direct import DirectDelivery
from worker.encoders import Encoder
from worker.gates.closing import closing_samples
from worker.gates.gate import Gate
from worker.gates.links import Links
from worker.gates.steering import Steering
from worker.generators import Generator, most_ticks
from worker.long_work import Interrupted
from worker.plan_at_work import PlanAtWork, beginning
from worker.position import Position
from worker.showing import Showing
from worker.ticks.block import DueEvents
from worker.ticks.production import Production
from worker.ticks.resuming import Missed, Resuming
from worker.ticks.schedule import NEVER_NS

Reason = Literal["duration", "stopped", "upstream"]

_ON_TIME_NS: Final = 100_000_000
"""How late the sink may make a tick before it counts as overdue."""

_WATCHED_SLACK_NS: Final = 20_000_000
"""How late a tick that others wait for may be by design, out of the 50 ms in which an edge has to take effect."""

_PROGRESS_INTERVAL_NS: Final = 1_000_000
"""How far apart the outcomes of requests of one batch are shown at least."""

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
        kept: where checkpoints are kept; None for a run that will not be continued.
        resume: how the run goes on that was interrupted; None for one that begins.
        on_missed: called with the ticks that a run which goes on has missed.
        held_ns: how late what was fired may be shown, together with what is fired next.
    """

    def __init__(
        self,
        plan: EntryPlan,
        generator: Generator,
        encoder: Encoder,
        delivery: Callable[[Counters, Callable[[], None]], Delivery],
        board: WorkerBoard,
        links: Links,
        waiter: RunWaiter,
        clock: Clock,
        kept: CheckpointWriter | None = None,
        resume: Resume | None = None,
        on_missed: Callable[[Missed], None] = lambda _: None,
        held_ns: int = 0,
    ) -> None:
        self._plan = plan
        self._zero_stamp_ns = 0
        self._generator = generator
        self._encoder = encoder
        self._board = board
        self._links = links
        self._waiter = waiter
        self._clock = clock
        self._resume = resume
        self._on_missed = on_missed
        self._counters = Counters() if resume is None else resume.counters()
        self._makes_up = plan.backfill_ns > 0
        self._watchers = links.watchers if plan.signal_type == "metrics" else None
        self._showing = Showing(plan, board, self._counters, waiter, self._watchers, held_ns)
        self._delivery = delivery(self._counters, self._publish_progress)
        self._position = Position(self._counters, self._delivery, kept, is_summed_up=plan.digest)
        was = State.PENDING if resume is None else resume.state
        if plan.gate is None or plan.gate.upstream is not None:
            was = State.PENDING
        self._gate = None if plan.gate is None else Gate(plan.gate, State.PAUSED if was is State.HELD else was)
        self._closing = closing_samples(plan)
        self._holds = self._closing is not None and plan.gate is not None and plan.gate.snap_to is not None
        self._steering = None
        if self._gate is not None:
            moves = self._pass_through, self._take_place
            self._steering = Steering(plan, self._gate, links.upstream, *moves, waiter.stop_asked)

    def run(self, start: Start) -> Reason:
        """Run from the entry's start until its end; whatever happens, the row says `finished` afterwards.

        Raises:
            SinkError: the sink could not be opened, or failed under `on_sink_error: fail`.
            EncoderError: the encoder cannot take an event.
        """
        self._waiter.before_blocking = self._show
        try:
            return self._run(start)
        finally:
            self._waiter.before_blocking = nothing
            self._enter(State.FINISHED)

    def _run(self, start: Start) -> Reason:
        start_ns, anchor_ns = beginning(self._plan, start)
        try:
            self._begin(start_ns, anchor_ns)
        except Interrupted:
            return "stopped"
        self._delivery.open()
        try:
            try:
                while isinstance(reason := self._emit(self._at_work, start_ns), Retune):
                    self._stand_still(reason)
            except Interrupted:
                reason = "stopped"
            finally:
                self._show()
            if self._steering is not None and reason == "stopped":
                self._steering.stop(self._clock.monotonic_ns() - start_ns)
            if not self._waiter.interrupted:
                self._close_series(self._at_work.production)
        except BaseException as exc:
            self._counters.errors += isinstance(exc, EncoderError)
            self._delivery.abandon()
            raise
        self._delivery.finish()
        self._at_work.sum_up(self._counters, self._delivery.counted)
        self._publish(self._clock.monotonic_ns())
        self._settle()
        return reason

    def _begin(self, start_ns: int, anchor_ns: int) -> None:
        """Put the plan to work, go on where the run was interrupted, and wait for the entry's start.

        Raises:
            Interrupted: it is stopped before.
        """
        plan, clock, steering = self._plan, self._clock, self._steering
        self._zero_stamp_ns = anchor_ns - start_ns
        self._at_work = PlanAtWork(plan, self._generator, self._encoder, anchor_ns, self._waiter.stop_asked)
        if self._resume is not None:
            self._go_on(self._resume, start_ns)
        if steering is not None:
            steering.reach_start()
        if plan.phase_offset_ns or clock.monotonic_ns() < start_ns + plan.backfill_ns:
            self._await_start(start_ns + plan.backfill_ns)
        if self._gate is None:
            self._enter(State.RUNNING)
        elif steering is not None and not steering.is_computed:
            begun_ns = start_ns if self._resume is None else clock.monotonic_ns()
            steering.heed(self._at_work.production, begun_ns, start_ns)

    def _await_start(self, begin_ns: int) -> None:
        if self._counters.state == State.PENDING:
            self._enter(State.PENDING)
        while not self._waiter.stopping and self._clock.monotonic_ns() < begin_ns:
            self._waiter.wait_until(begin_ns)
            if self._waiter.retune is not None:
                self._stand_still(self._waiter.retune)
        if self._waiter.stopping:
            raise Interrupted

    def _go_on(self, resume: Resume, start_ns: int) -> None:
        """Take up a run where it was interrupted, and pass over what it has missed since unless that is made up for."""
        at_work, counters = self._at_work, self._counters
        resuming = Resuming(at_work.schedule, self._generator, most_ticks(at_work.plan), at_work.digest)
        if self._gate is not None and self._steering is not None and self._steering.is_computed:
            self._steering.replay(at_work.production, at_work.schedule, counters.next_tick)
            if self._closing is not None and self._gate.state is State.RUNNING:
                self._closing.note_spans(resuming.spans_before(counters))
            resuming.take_back(resume, counters, at_work.production.cursor)
            self._enter(self._shown(self._gate.state))
            self._position.move_to(at_work.production.next_tick)
            self._makes_up = True
            return
        if self._closing is not None:
            self._closing.note_spans(resuming.spans_before(counters))
        if self._gate is not None:
            self._enter(resume.state)
        is_live = self._gate is None or self._gate.emitting
        cursor, self._makes_up, missed = resuming.take_up(
            resume, counters, at_work.plan.backfill_ns, lambda: self._clock.monotonic_ns() - start_ns, is_live=is_live
        )
        if missed is not None:
            self._on_missed(missed)
        at_work.production.move_to(cursor)
        self._position.move_to(at_work.production.next_tick)

    def _stand_still(self, asked: Retune) -> None:
        """Stand still at the next tick until a change is decided, and go on: changed, or as if nothing had been."""
        at_work, delivery = self._at_work, self._delivery
        changed = at_work.changed(asked.tuning, self._waiter.stop_asked)
        delivery.flush()
        self._settle()
        self._take_place(at_work.production)
        self._showing.write_samples()
        self._publish(self._clock.monotonic_ns())
        self._position.keep_counted(at_work.observer)
        if not self._waiter.hold(changed.held(asked, is_due=self._gate is None or self._gate.emitting)):
            return
        if changed.plan.labels != at_work.plan.labels:
            # Their series end here, and others begin.
            self._close_series(at_work.production)
            delivery.relabel(changed.plan)
            self._showing.forget_samples()
        self._at_work = changed
        self._showing.rate.reopen()
        self._take_place(changed.production)
        self._publish(self._clock.monotonic_ns())

    def _emit(self, at_work: PlanAtWork, start_ns: int) -> Reason | Retune:
        """Fire ticks until the end of the run, a stop, or a change that is asked for.

        A wake-up is never early. It is late by design by the board's slack, so that ticks of several milliseconds
        share one, and by what the plan says; stamps are the scheduled instants anyway. A tick counts as overdue when it
        is later than the run was before it began to fire, or than it was woken: by the fault of the sink, then.
        """
        waiter, clock, board, gate = self._waiter, self._clock, self._board, self._gate
        production, end_ns, gathering_ns = at_work.production, start_ns + at_work.end_ns, at_work.plan.gathering_ns
        showing, is_direct, look_ns, wake_ns = self._showing, isinstance(self._delivery, DirectDelivery), 0, 0
        late_ns = clock.monotonic_ns() - start_ns - production.deadline_ns
        grace_ns = NEVER_NS if self._makes_up else _ON_TIME_NS + max(late_ns, 0)
        while not waiter.stopping:
            now_ns = clock.monotonic_ns()
            if now_ns >= look_ns:
                if 0 < wake_ns < now_ns:
                    grace_ns, wake_ns = grace_ns + now_ns - wake_ns, 0
                self._show()
                waiter.look()
                look_ns = now_ns + _LOOK_INTERVAL_NS
            if waiter.retune is not None:
                return waiter.retune
            due_ns = clock_ns = now_ns - start_ns
            change_ns = NEVER_NS
            if gate is not None and self._steering is not None:
                due_ns, change_ns = self._steering.heed(production, now_ns, start_ns)
                if gate.state is State.FINISHED:
                    return "upstream"
                if not gate.emitting:
                    if now_ns >= end_ns:
                        return "duration"
                    self._show()
                    self._settle()
                    waiter.wait_until(wake_ns := max(min(change_ns, end_ns), now_ns))
                    continue
            events = production.take(due_ns, grace_ns)
            if events is not None:
                self._fire(events, now_ns)
                wake_ns = 0
                if events.next_ns <= clock_ns:
                    continue
            elif due_ns < clock_ns and change_ns < end_ns:
                continue
            elif now_ns >= end_ns:
                return "duration"
            elif production.in_gap is not self._counters.in_gap:
                self._showing.enter_gap()
                self._publish(now_ns)
            if (slack_ns := board.slack_ns()) > _WATCHED_SLACK_NS and self._links.watchers.are_there:
                slack_ns = _WATCHED_SLACK_NS
            grace_ns = _ON_TIME_NS + slack_ns
            self._makes_up = False
            next_ns = production.look_ahead() if events is None else events.next_ns
            if not is_direct:
                self._settle()
            wake_ns = min(min(start_ns + next_ns, change_ns) + gathering_ns + slack_ns, end_ns)
            if wake_ns >= showing.due_ns:
                self._show()
            # Not in the past: what the sink has taken is not what the wait takes.
            wake_ns = max(wake_ns, clock.monotonic_ns())
            waiter.wait_until(wake_ns)
            self._counters.wakeups += 1
            look_ns = wake_ns + _LOOK_INTERVAL_NS
        return "stopped"

    def _fire(self, events: DueEvents, now_ns: int) -> None:
        at_work, position, watchers, delivery = self._at_work, self._position, self._watchers, self._delivery
        late_ns = now_ns + self._zero_stamp_ns - events.first_stamp_ns
        if self._makes_up:
            self._counters.backlog_ns = late_ns
        if watchers is not None and (watchers.are_there or events.block is None):
            # Before the writing, so that a sink in trouble holds up nobody who watches.
            watchers.publish(events.batch.values.item(-1), now_ns)
        if at_work.digest is not None:
            at_work.begin(events.batch)
        if isinstance(delivery, DirectDelivery):
            delivered = delivery.deliver_from(events.first_tick, events.encoded)
        else:
            delivered = delivery.deliver(events.batch, events.encoded)
        if self._closing is not None:
            self._closing.note_parts(events.batch, delivered)
        if at_work.digest is not None:
            at_work.sum_up(self._counters, delivered)
        self._showing.fired(events, delivered, None if self._makes_up else late_ns, now_ns)
        if not self._showing.holds_back:
            position.note()
            self._showing.publish(now_ns)
        if position.is_kept:
            position.advance(now_ns)
            if at_work.observer is not None:
                position.keep_counted(at_work.observer)
        if delivery.fatal is not None:
            raise delivery.fatal

    def _show(self) -> None:
        """Show what was held back; it is kept already."""
        self._showing.write_samples()
        if self._showing.has_news:
            self._position.note()
            self._showing.publish(self._clock.monotonic_ns())

    def _settle(self) -> None:
        self._delivery.settle()
        if self._delivery.fatal is not None:
            raise self._delivery.fatal

    def _pass_through(self, state: State, production: Production) -> None:
        """Enter a state of the gate; one in which nothing is emitted closes what was written before."""
        if state in (State.PAUSED, State.UNRESOLVED):
            self._showing.rate.events_per_sec = self._counters.current_rate = 0.0
            if self._gate is not None and not self._gate.emits_in(state):
                self._close_series(production)
            state = self._shown(state)
        if state is not State.FINISHED:
            self._enter(state)

    def _shown(self, state: State) -> State:
        """Return the state that clients see."""
        is_held = state is State.PAUSED and self._holds and self._counters.total_events
        return State.HELD if is_held else state

    def _close_series(self, production: Production) -> None:
        if self._closing is None or not self._closing:
            return
        if self._plan.share is not None and self._steering is not None:
            # Series of other segments count as well, so that all of them are closed at one instant.
            self._closing.stamp_ns = production.newest_stamp_ns(self._steering.emitted_until_ns)
        self._delivery.close_series(
            (batch, self._at_work.encoder.encode(batch)) for batch in self._closing.take() if not self._waiter.given_up
        )
        self._settle()

    def _take_place(self, production: Production) -> None:
        """Note the segment that the run is in."""
        self._position.enter(production.cursor, production.next_tick)
        if self._gate is not None and self._gate.emitting:
            self._showing.rate.reopen()

    def _enter(self, state: State) -> None:
        check_transition(State(self._counters.state), state)
        now_ns = self._clock.monotonic_ns()
        self._counters.state = state
        self._counters.state_since_ns = now_ns
        self._publish(now_ns, asks_cpu=True)

    def _publish_progress(self) -> None:
        """Show what a request has come to; PERF: of many quick ones in one batch only some, and keep all."""
        now_ns = self._clock.monotonic_ns()
        shows = not self._showing.holds_back or now_ns - self._counters.heartbeat_ns >= _PROGRESS_INTERVAL_NS
        if not (shows or self._position.is_kept):
            return
        self._at_work.sum_up(self._counters, self._delivery.counted)
        if shows:
            self._position.note()
            self._showing.publish(now_ns)
        self._position.advance(now_ns)

    def _publish(self, now_ns: int, *, asks_cpu: bool = False) -> None:
        self._position.note()
        self._showing.publish(now_ns, asks_cpu=asks_cpu)
        self._position.keep(now_ns)
