"""What entries would emit, for a plot: a value now and then over the first minutes. Nothing is written anywhere.

Values are those of the run: ticks come from the schedule, values from the generator, lines from the encoder. A gate
counts as open.

Source: docs/http.md, "Start".
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from common.clock import Clock
from common.errors import EncoderError
from common.messages import Curve, Preview
from common.plan import EntryPlan, Histogram, Summary
from worker.encoders import build as build_encoder
from worker.generators import Observer
from worker.generators import build as build_generator
from worker.long_work import Interrupted
from worker.ticks.batch import Batch
from worker.ticks.schedule import NEVER_NS, Schedule

_MOST_NS: Final = 1_000_000_000
"""How long the curves of one preview may take; what is missing then is left out."""

_LINES: Final = 3
_MOST_LINE_BYTES: Final = 1000


def preview(command: Preview, clock: Clock) -> tuple[Curve, ...]:
    """Return a curve for each entry, fewer when they take too long."""
    deadline_ns, wall_ns = clock.monotonic_ns() + _MOST_NS, clock.wall_ns()

    def interrupted() -> bool:
        return clock.monotonic_ns() >= deadline_ns

    curves = []
    for entry in command.entries:
        if interrupted():
            break
        try:
            curves.append(_curve(entry, command, wall_ns, interrupted))
        except Interrupted:
            break
    return tuple(curves)


def _curve(plan: EntryPlan, asked: Preview, wall_ns: int, interrupted: Callable[[], bool]) -> Curve:
    begin_ns = plan.phase_offset_ns - plan.backfill_ns
    anchor_ns = (wall_ns + begin_ns if plan.anchor_ns is None else plan.anchor_ns) + plan.shift_ns
    schedule = Schedule(plan, anchor_ns, interrupted)
    instants = [asked.horizon_ns * place // asked.points - begin_ns for place in range(asked.points + 1)]
    reached = [0] * (0 < begin_ns <= asked.horizon_ns) + [at_ns for at_ns in instants if at_ns >= 0]
    if plan.signal_type == "logs":
        points = list(_rates(schedule, _in_time(reached, interrupted)))
    else:
        points = list(_values(plan, schedule, _in_time(reached, interrupted), interrupted))
    return Curve(
        kind=_KINDS[plan.signal_type],
        secs=tuple((at_ns + begin_ns) / 1e9 for at_ns, _ in points),
        values=tuple(value if value is not None and math.isfinite(value) else None for _, value in points),
        lines=_lines(plan, schedule, asked.horizon_ns, interrupted),
    )


_KINDS: Final[dict[str, Literal["value", "mean", "rate"]]] = {
    "metrics": "value",
    "histogram": "mean",
    "summary": "mean",
    "logs": "rate",
}


def _in_time(instants: list[int], interrupted: Callable[[], bool]) -> Iterator[int]:
    for at_ns in instants:
        if interrupted():
            raise Interrupted
        yield at_ns


def _values(
    plan: EntryPlan, schedule: Schedule, instants: Iterable[int], interrupted: Callable[[], bool]
) -> Iterator[tuple[int, float | None]]:
    """Yield the instant and the value of the first tick at or behind each of `instants`; None stands for a silence."""
    generator = build_generator(plan, interrupted)
    cursor, observed, shown = schedule.start, 0, -1
    for at_ns in instants:
        skipped, cursor = schedule.skip(cursor, at_ns)
        observed += skipped
        tick_ns = cursor.segment_ns + cursor.offset_ns
        if tick_ns >= (NEVER_NS if schedule.end_ns is None else schedule.end_ns):
            return
        if cursor.in_gap and at_ns < tick_ns:
            yield at_ns, None
        elif cursor.quiet is None and cursor.tick != shown:
            shown = cursor.tick
            number = schedule.number(shown)
            if isinstance(plan.generator, Histogram | Summary) and isinstance(generator, Observer):
                generator.totals = [float(observed), *[0.0] * (len(generator.totals) - 1)]
                total = generator.values(number, 1)[0, -2]
                yield tick_ns, float(total) / plan.generator.observations_per_tick
            else:
                yield tick_ns, float(generator.values(number, 1)[0])


def _rates(schedule: Schedule, instants: Iterable[int]) -> Iterator[tuple[int, float | None]]:
    """Yield each of `instants` but the first, and the ticks per second since the one before."""
    cursor, before_ns = schedule.start, 0
    for at_ns in instants:
        if schedule.end_ns is not None and before_ns >= schedule.end_ns:
            return
        skipped, cursor = schedule.skip(cursor, at_ns)
        if at_ns > before_ns:
            yield at_ns, skipped * 1e9 / (at_ns - before_ns)
        before_ns = at_ns


def _lines(plan: EntryPlan, schedule: Schedule, until_ns: int, interrupted: Callable[[], bool]) -> tuple[str, ...]:
    """Return the first events of the run's first `until_ns` as they would be written, where they are lines of text."""
    if plan.encoder.record(plan.signal_type) != "line":
        return ()
    span, _ = schedule.take(schedule.start, until_ns, NEVER_NS, _LINES, _LINES)
    if span is None:
        return ()
    values = build_generator(plan, interrupted).values(span.first_tick, len(span.stamps_ns))
    try:
        encoded = build_encoder(plan).encode(Batch(span.first_tick, values, span.stamps_ns, span.spike_mask))
    except EncoderError:
        return ()
    start, lines = 0, []
    for end in encoded.ends().tolist():
        lines.append(encoded.payload[start : min(end, start + _MOST_LINE_BYTES)].decode(errors="replace").rstrip("\n"))
        start = end
    return tuple(lines)
