"""Folds `defaults` into the entries and checks the clauses that depend on them.

Source: docs/scenarios.md, "Entry".
"""

import math

import msgspec

from common.errors import CompileError
from common.specs import JsonLines, PrometheusText, Stdout, kind_of
from common.units import clip
from supervisor.compiler.faults import Faults, compile_fault
from supervisor.compiler.language.blocks import Defaults, Entry, standing_alone, without_clauses
from supervisor.reading.messages import Steps

_LIFETIME = {
    "while": "Bounds the scenario's lifetime so paused state has a terminal point.",
    "after": "Bounds the scenario's lifetime so pending state has a terminal point.",
}


def normalize(entries: tuple[Entry, ...], defaults: Defaults, faults: Faults) -> tuple[Entry, ...]:
    """Return the entries with rate, encoder, sink and everything inherited filled in.

    The labels of `defaults` are merged into inline entries only: in a pack entry they rank below the pack's own.

    Args:
        entries: as written.
        defaults: of the file.
        faults: takes entries without a rate (400) and clauses that cannot work (400 or 422).
    """
    normalized = [_filled(index, entry, defaults, faults) for index, entry in enumerate(entries)]
    for index, entry in enumerate(normalized):
        with faults.entry(index) as fine:
            check_clauses(entry, entry.id or entry.name or entry.pack or f"<entry {index}>")
        if not fine():
            normalized[index] = standing_alone(entry) if entry.pack is None else without_clauses(entry)
    return tuple(normalized)


def check_clauses(entry: Entry, subject: str) -> None:
    """Refuse an entry for the first fault among its `after`, `while` and `delay`.

    Args:
        entry: with everything inherited.
        subject: how messages name it.

    Raises:
        CompileError: 400 or 422.
    """
    said = f"entry '{clip(subject)}': "
    if entry.delay is not None and entry.while_ is None:
        raise _fault(
            f"{said}`delay:` requires `while:` on the same entry. `delay:` debounces `while:` transitions and has no "
            "meaning without it.",
            422,
            at=("delay",),
        )
    for keyword, clause, status in (("while", entry.while_, 422), ("after", entry.after, 400)):
        if clause is not None and entry.duration is None:
            raise _fault(
                f"{said}scenarios with `{keyword}:` must have `duration:` set (either on the entry or via "
                f"`defaults.duration`).\n{_LIFETIME[keyword]}",
                status,
                at=(keyword,),
                hint="add `duration:`",
            )
    if entry.while_ is not None and not math.isfinite(entry.while_.value):
        raise _fault(
            f"{said}while.value must be a finite number; NaN and infinity are rejected because the strict comparison "
            "gate would never resolve deterministically",
            422,
            at=("while", "value"),
        )
    _check_close(entry, said)
    if entry.after is not None and not math.isfinite(entry.after.value):
        raise _fault(f"{said}after.value must be a finite number", at=("after", "value"))


def _check_close(entry: Entry, said: str) -> None:
    if entry.delay is None:
        return
    close = entry.delay.closing
    if close.snap_to is not None and close.stale_marker is False:
        raise _fault(
            f"{said}delay.close.snap_to already replaces the stale marker; do not also set "
            "delay.close.stale_marker: false",
            422,
            at=("delay", "close", "stale_marker"),
        )
    if close.snap_to is not None and not math.isfinite(close.snap_to):
        raise _fault(
            f"{said}delay.close.snap_to must be a finite number; NaN and infinity cannot be emitted as a recovery "
            "sample",
            422,
            at=("delay", "close", "snap_to"),
        )
    if close.stale_marker and close.snap_to is None and not (entry.sink and entry.sink.closes_series):
        kind = kind_of(entry.sink) if entry.sink else "stdout"
        raise _fault(
            f"{said}delay.close.stale_marker: true requires sink.type: remote_write — the marker is a Prometheus "
            f"remote-write-specific signal and silently no-ops on sink.type: {kind}. Either set sink.type: "
            "remote_write, or replace stale_marker with snap_to: <value> for a sink-agnostic recovery emit, or drop "
            "the field to disable the close-emit entirely.",
            at=("delay", "close", "stale_marker"),
        )


def _filled(index: int, entry: Entry, defaults: Defaults, faults: Faults) -> Entry:
    rate = defaults.rate if entry.rate is None else entry.rate
    if rate is None:
        label = clip(entry.name or entry.id or entry.pack or "<unnamed>")
        with faults.entry(index):
            raise _fault(
                f"entry {index} ({label}): missing required field 'rate' (set it on the entry or in defaults:)",
                hint="add `rate:`, in events a second",
            )
        rate = 1.0
    default_encoder = JsonLines() if entry.signal_type == "logs" else PrometheusText()
    return msgspec.structs.replace(
        entry,
        rate=rate,
        duration=defaults.duration if entry.duration is None else entry.duration,
        start_time=defaults.start_time if entry.start_time is None else entry.start_time,
        encoder=entry.encoder or defaults.encoder or default_encoder,
        sink=entry.sink or defaults.sink or Stdout(),
        on_sink_error=entry.on_sink_error or defaults.on_sink_error,
        isolation=entry.isolation or defaults.isolation,
        on_restart=entry.on_restart or defaults.on_restart,
        backfill=defaults.backfill if entry.backfill is None else entry.backfill,
        split=entry.split or defaults.split,
        digest=defaults.digest if entry.digest is None else entry.digest,
        while_=entry.while_ or defaults.while_,
        delay=entry.delay or defaults.delay,
        labels=entry.labels if entry.pack is not None else (defaults.labels or {}) | (entry.labels or {}),
    )


def _fault(message: str, status: int = 400, *, at: Steps = (), hint: str | None = None) -> CompileError:
    return compile_fault("normalize", message, status, at=at, hint=hint)
