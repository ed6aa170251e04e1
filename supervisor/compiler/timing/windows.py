"""Lengths as written to lengths as run: duration, gaps, one-shot silences, bursts, cardinality spikes.

Source: docs/scenarios.md, "Entry"; docs/http.md, "Answers"; docs/values.md, "Windows".
"""

from typing import NamedTuple

from common.errors import DecodeError, DurationError
from common.plan import Burst, Cycle, LabelSpike, Silence
from common.units import LONGEST_NS, clip, duration_or_zero_us, duration_us, nanoseconds, number_text, quote
from supervisor.compiler.language.blocks import Bursts, CardinalitySpike, Gaps, GapWindow
from supervisor.compiler.language.structure import IDENTIFIER, identifier_hint


class _Window(NamedTuple):
    every_us: int
    for_us: int


def plan_duration(text: str | None) -> int | None:
    """Return the length of a run in ns; None runs until stopped.

    Raises:
        DecodeError: with the text that the client reads, as all functions of this module.
    """
    if text is None:
        return None
    try:
        return nanoseconds(duration_us(text))
    except DurationError as exc:
        raise DecodeError(f"invalid duration {quote(clip(text))}: {exc}") from exc


def plan_gaps(gaps: Gaps | None) -> Cycle | None:
    """Return the silence at the tail of every cycle; None also for one shorter than a microsecond."""
    if gaps is None:
        return None
    window = _window("gaps", gaps.every, gaps.for_)
    if window.for_us == 0:
        return None
    # What counts is where the silence begins, also in a cycle too long to be represented.
    head_ns = min((window.every_us - window.for_us) * 1000, LONGEST_NS - 1000)
    every_ns = nanoseconds(window.every_us)
    return Cycle(every_ns=every_ns, for_ns=every_ns - head_ns)


def plan_gap_windows(windows: tuple[GapWindow, ...] | None) -> tuple[Silence, ...]:
    """Return the one-shot silences in the order written."""
    silences = []
    for index, window in enumerate(windows or ()):
        try:
            start_ns = nanoseconds(duration_or_zero_us(window.at, unit_optional=True))
        except DurationError as exc:
            raise DecodeError(
                f"invalid gap_windows[{index}].at {quote(clip(window.at))}: {exc}", at=(index, "at")
            ) from exc
        try:
            length_ns = nanoseconds(duration_us(window.for_))
        except DurationError as exc:
            raise DecodeError(
                f"invalid gap_windows[{index}].for {quote(clip(window.for_))}: {exc}", at=(index, "for")
            ) from exc
        silences.append(Silence(start_ns=start_ns, end_ns=start_ns + length_ns))
    return tuple(silences)


def plan_bursts(bursts: Bursts | None) -> Burst | None:
    """Return the burst at the beginning of every cycle; None also for one shorter than a microsecond."""
    if bursts is None:
        return None
    if not 0 < bursts.multiplier < float("inf"):
        raise DecodeError(
            f"bursts.multiplier must be positive, got {number_text(bursts.multiplier)}", at=("multiplier",)
        )
    cycle = _head(_window("bursts", bursts.every, bursts.for_))
    return None if cycle is None else Burst(cycle=cycle, multiplier=bursts.multiplier)


def plan_spike(spike: CardinalitySpike) -> LabelSpike | None:
    """Return a cardinality spike; None for one shorter than a microsecond."""
    if not IDENTIFIER.fullmatch(spike.label):
        raise DecodeError(
            f"invalid cardinality_spikes label {quote(clip(spike.label))}: must match [a-zA-Z_][a-zA-Z0-9_]*",
            at=("label",),
            hint=identifier_hint(spike.label),
        )
    cycle = _head(_window("cardinality_spikes", spike.every, spike.for_))
    if spike.cardinality == 0:
        raise DecodeError("cardinality_spikes.cardinality must be greater than zero", at=("cardinality",))
    if cycle is None:
        return None
    return LabelSpike(
        key=spike.label,
        cycle=cycle,
        cardinality=spike.cardinality,
        prefix=f"{spike.label}_" if spike.prefix is None else spike.prefix,
        strategy=spike.strategy,
        seed=spike.seed or 0,
    )


def _head(window: _Window) -> Cycle | None:
    if window.for_us == 0:
        return None
    every_ns = nanoseconds(window.every_us)
    return Cycle(every_ns=every_ns, for_ns=min(window.for_us * 1000, every_ns - 1000))


def _window(block: str, every: str, for_: str) -> _Window:
    every_us = _length_us(f"{block}.every", every)
    for_us = _length_us(f"{block}.for", for_)
    if for_us >= every_us:
        raise DecodeError(
            f"{block}.for ({quote(clip(for_))}) must be less than {block}.every ({quote(clip(every))})", at=("for",)
        )
    return _Window(every_us, for_us)


def _length_us(field: str, text: str) -> int:
    try:
        return duration_us(text)
    except DurationError as exc:
        raise DecodeError(f"invalid {field} {quote(clip(text))}: {exc}", at=(field.rpartition(".")[2],)) from exc
