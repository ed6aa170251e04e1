"""What the gate of an entry does to its ticks: a segment of them lasts from one opening to the next closing.

An upstream in another worker is heard of when its bell rings, and takes effect then. One that is computed beside the
gate takes effect at its own instants: the ticks before each are fired first, however late that is.
"""

from collections.abc import Callable, Iterable

from common.plan import EntryPlan
from common.states import State
from worker.gates.computed import ComputedGate
from worker.gates.gate import Gate
from worker.gates.upstream import GateUpstream
from worker.ticks.production import Production
from worker.ticks.schedule import NEVER_NS, Schedule


class Steering:
    """Turns an entry on and off.

    Args:
        plan: the entry, which has a gate.
        gate: its state.
        upstream: what is heard of the other entry.
        pass_through: called with each state that the gate enters.
        moved: called when a segment has begun or ended.
        interrupted: as of `ComputedGate`.

    Attributes:
        is_computed: whether the upstream is.
        emitted_until_ns: when the newest segment ended on the scenario clock, or NEVER_NS.
    """

    def __init__(
        self,
        plan: EntryPlan,
        gate: Gate,
        upstream: GateUpstream,
        pass_through: Callable[[State, Production], None],
        moved: Callable[[Production], None],
        interrupted: Callable[[], bool],
    ) -> None:
        assert plan.gate is not None  # noqa: S101 - it has one
        self._plan = plan.gate
        self._gate = gate
        self._upstream = upstream
        self._pass_through = pass_through
        self._moved = moved
        self._steps = None
        if plan.gate.upstream is not None:
            self._steps = ComputedGate(plan.gate, plan.phase_offset_ns, gate, interrupted)
        self._end_ns = NEVER_NS if plan.duration_ns is None else plan.duration_ns
        self.is_computed = self._steps is not None
        self.emitted_until_ns = NEVER_NS

    def reach_start(self) -> None:
        """Compute what the upstream, if it is computed, has come to by the start of the entry.

        Raises:
            Interrupted: the entry is stopping.
        """
        if self._steps is not None:
            self._steps.reach_start()

    def heed(self, production: Production, now_ns: int, start_ns: int) -> tuple[int, int]:
        """Act on what has become of the upstream.

        Args:
            production: the entry's ticks.
            now_ns: now, monotonic.
            start_ns: when the scenario clock was 0, monotonic.

        Returns:
            Up to which instant of the scenario clock ticks may be fired, and when to be called again at the latest
            (monotonic).
        """
        if self._steps is None:
            self._hear(production, now_ns, start_ns)
            return now_ns - start_ns, self._gate.deadline_ns
        self._step(self._steps, production, now_ns - start_ns)
        return min(now_ns - start_ns, self._steps.due_ns - 1), self._steps.due_ns + start_ns

    def stop(self, clock_ns: int) -> None:
        """Note that the run ends early, at an instant of the scenario clock."""
        self.emitted_until_ns = min(self.emitted_until_ns, clock_ns)

    def replay(self, production: Production, schedule: Schedule, next_tick: int) -> None:
        """Bring gate and ticks to where a run was interrupted, whose upstream is computed.

        Args:
            production: the entry's ticks.
            schedule: their instants.
            next_tick: the number of the first tick that was not delivered.
        """
        gate, steps = self._gate, self._steps
        assert steps is not None  # noqa: S101 - it is computed
        while gate.state is not State.FINISHED and steps.due_ns < self._end_ns:
            cursor = production.cursor
            if gate.emitting:
                tick = max(schedule.tick(next_tick), cursor.segment_tick)
                here = schedule.seek(cursor.segment_ns, cursor.segment_tick, tick)
                if here.segment_ns + here.offset_ns < steps.due_ns:
                    production.move_to(here)
                    return
                production.move_to(schedule.skip(cursor, steps.due_ns)[1])
            elif gate.state is not State.PENDING and next_tick <= schedule.number(cursor.tick):
                return
            at_ns, was_emitting = steps.due_ns, gate.emitting
            steps.step()
            if gate.emitting and not was_emitting:
                production.begin_segment(at_ns)
            elif was_emitting and not gate.emitting:
                production.end_segment(at_ns)

    def _hear(self, production: Production, now_ns: int, start_ns: int) -> None:
        gate, upstream, plan = self._gate, self._upstream, self._plan
        while True:
            signal = upstream.first_signal(plan, start_ns) if gate.heard is None else upstream.signal(plan)
            if signal is gate.heard and now_ns < gate.deadline_ns and not upstream.has_news:
                return
            was_emitting = gate.emitting
            self._change(gate.hear(now_ns, signal), production, now_ns - start_ns, was_emitting=was_emitting)
            if not upstream.has_news:
                return

    def _step(self, steps: ComputedGate, production: Production, clock_ns: int) -> None:
        """Take the steps up to now, each once all ticks before it are fired; none at the end of the run."""
        gate = self._gate
        while steps.due_ns <= min(clock_ns, self._end_ns - 1) and gate.state is not State.FINISHED:
            if gate.emitting and production.deadline_ns < steps.due_ns:
                return
            at_ns, was_emitting = steps.due_ns, gate.emitting
            self._change(steps.step(), production, at_ns, was_emitting=was_emitting)

    def _change(self, states: Iterable[State], production: Production, at_ns: int, *, was_emitting: bool) -> None:
        """Pass through what the gate has entered at an instant of the scenario clock."""
        is_emitting = self._gate.emitting
        if was_emitting and not is_emitting:
            self.emitted_until_ns = at_ns
        for state in states:
            self._pass_through(state, production)
        if is_emitting and not was_emitting:
            self.emitted_until_ns = NEVER_NS
            production.begin_segment(at_ns)
            self._moved(production)
        elif was_emitting and not is_emitting:
            production.end_segment(at_ns)
            self._moved(production)
