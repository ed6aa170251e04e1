"""A gate whose upstream is computed beside it instead of being asked for: in a segment it may run on another host.

Values are pure functions of ticks, so the instants at which a gate changes are, too, however busy the machine is and
wherever else the body runs. All is said on scenario clocks; nothing here waits or knows what time it is.

::

    the upstream's ticks ──► values ──► verdicts ──► edges ──► gate ──► its states, each at its instant
         ▲
         └── the upstream's own gate, computed in the same way

Source: docs/states.md, "In segments".
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import worker.generators
from common.plan import EntryPlan, GatePlan
from common.states import State
from worker.gates.gate import Gate, Signal
from worker.long_work import Interrupted, LongWork, never
from worker.ticks.batch import BATCH_EVENTS
from worker.ticks.schedule import NEVER_NS, Schedule

_LOOK_NS: Final = 10_000_000_000
_LOOK_TICKS: Final = 65_536
"""How far an upstream is computed ahead at a time, whichever comes first."""


class ComputedGate:
    """A gate and its upstream.

    Args:
        plan: the gate, with its upstream.
        phase_offset_ns: when the gated entry starts, on the clock of the body.
        gate: the state of the gate.
        interrupted: asked now and then while the upstream is computed; when true, `Interrupted` is raised.

    Attributes:
        due_ns: the instant of the entry's own clock at which to call `step` next.
    """

    def __init__(
        self, plan: GatePlan, phase_offset_ns: int, gate: Gate, interrupted: Callable[[], bool] = never
    ) -> None:
        assert plan.upstream is not None  # noqa: S101 - it is computed
        self._gate = gate
        self._opens_at = plan.op, plan.value
        self._offset_ns = phase_offset_ns
        self._upstream = ComputedEntry(plan.upstream, interrupted)
        self._signal = Signal.SILENT
        self._edges: deque[tuple[int, Signal]] = deque()
        self._known_ns = -phase_offset_ns
        self._interrupted = interrupted
        self._work = LongWork(interrupted)
        self.due_ns = 0

    def step(self) -> tuple[State, ...]:
        """Let the gate hear what is to be heard at `due_ns`; return the states that it enters, in order.

        Raises:
            Interrupted: the entry is stopping.
        """
        self._work.step()
        self.reach_start()
        at_ns = self.due_ns
        entered: tuple[State, ...] = ()
        has_edge = bool(self._edges) and self._edges[0][0] == at_ns
        if has_edge:
            _, self._signal = self._edges.popleft()
        if has_edge or self._gate.heard is None or at_ns >= self._gate.deadline_ns:
            entered = self._gate.hear(at_ns, self._signal)
        if not self._edges and self._known_ns <= at_ns:
            self._look(at_ns + _LOOK_NS)
        edge_ns = self._edges[0][0] if self._edges else self._known_ns
        self.due_ns = min(edge_ns, self._gate.deadline_ns)
        return entered

    def reach_start(self) -> None:
        """Let the gate begin with what the upstream has come to by the start of the entry."""
        while self._known_ns < 0:
            self._look(0)
            while self._edges:
                _, self._signal = self._edges.popleft()

    def _look(self, until_ns: int) -> None:
        """Compute the upstream up to an instant, or a part of that."""
        if self._interrupted():
            raise Interrupted
        newest = self._edges[-1][1] if self._edges else self._signal
        for _ in range(_LOOK_TICKS // BATCH_EVENTS):
            run = self._upstream.take(until_ns + self._offset_ns)
            for place, signal in _changes(run.values, self._opens_at, newest):
                self._edges.append((int(run.instants_ns[place]) - self._offset_ns, signal))
                newest = signal
            self._known_ns = run.until_ns - self._offset_ns
            if run.is_last:
                self._edges.append((self._known_ns, Signal.GONE))
                self._known_ns = NEVER_NS
            if self._known_ns >= until_ns:
                return


@dataclass(frozen=True, slots=True)
class ComputedRun:
    """Some ticks of an entry.

    Attributes:
        instants_ns: int64[n], when they are due on the clock of the body.
        values: float64[n].
        until_ns: all ticks before this instant were told.
        is_last: whether the entry ends then.
    """

    instants_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    until_ns: int
    is_last: bool = False


_NOTHING: Final = (np.empty(0, dtype=np.int64), np.empty(0))


class ComputedEntry:
    """A metrics entry whose ticks are computed in their order, and emitted nowhere.

    Args:
        plan: the entry; its gate, if it has one, with the upstream.
        interrupted: as of `ComputedGate`.
    """

    def __init__(self, plan: EntryPlan, interrupted: Callable[[], bool] = never) -> None:
        self._offset_ns = plan.phase_offset_ns
        self._schedule = Schedule(plan, self._offset_ns, interrupted)
        self._generator = worker.generators.build(plan, interrupted)
        self._cursor = self._schedule.start
        self._gate = None if plan.gate is None else Gate(plan.gate)
        self._steps = None
        if plan.gate is not None and self._gate is not None:
            self._steps = ComputedGate(plan.gate, plan.phase_offset_ns, self._gate, interrupted)

    def take(self, until_ns: int) -> ComputedRun:
        """Return the next ticks before an instant of the body's clock."""
        end_ns = NEVER_NS if self._schedule.end_ns is None else self._schedule.end_ns + self._offset_ns
        while True:
            change_ns = NEVER_NS if self._steps is None else self._steps.due_ns + self._offset_ns
            bound_ns = min(until_ns, change_ns, end_ns)
            if self._gate is None or self._gate.emitting:
                last_ns = bound_ns - 1 - self._offset_ns
                span, self._cursor = self._schedule.take(self._cursor, last_ns, NEVER_NS, BATCH_EVENTS)
                if span is not None:
                    values = self._generator.values(span.first_tick, len(span.stamps_ns))
                    return ComputedRun(span.stamps_ns, values, int(span.stamps_ns[-1]) + 1)
            if bound_ns == end_ns:
                return ComputedRun(*_NOTHING, end_ns, is_last=True)
            if self._steps is None or bound_ns < change_ns:
                return ComputedRun(*_NOTHING, until_ns)
            if not self._step(self._steps):
                return ComputedRun(*_NOTHING, change_ns, is_last=True)

    def _step(self, steps: ComputedGate) -> bool:
        """Let the gate change; return whether the entry goes on."""
        assert self._gate is not None  # noqa: S101 - it steps
        at_ns, was_emitting = steps.due_ns, self._gate.emitting
        steps.step()
        if self._gate.emitting and not was_emitting:
            self._cursor = self._schedule.begin_segment(self._cursor, at_ns)
        elif was_emitting and not self._gate.emitting:
            self._cursor = self._schedule.end_segment(self._cursor, at_ns)
        return self._gate.state is not State.FINISHED


def _changes(values: NDArray[np.float64], opens_at: tuple[str, float], before: Signal) -> Iterator[tuple[int, Signal]]:
    """Yield where the verdict on values changes, and to what; equal is closed, and so is NaN."""
    op, threshold = opens_at
    opens = values < threshold if op == "<" else values > threshold
    changed = np.flatnonzero(opens != np.concatenate(([before is Signal.OPEN], opens[:-1]))) if len(opens) else ()
    if before is Signal.SILENT and len(opens) and not opens[0]:
        yield 0, Signal.CLOSED
    for place in changed:
        yield int(place), Signal.OPEN if opens[place] else Signal.CLOSED
