"""What runs: a compiled scenario file with every default and unit resolved.

Offsets and lengths are integer nanoseconds of the scenario clock, whole microseconds as written. A plan is a value:
frozen, self-contained, sent to a worker as msgpack. Source: scenario format, section 18.
"""

from typing import Any

import msgspec

from common.specs import EncoderSpec, GeneratorSpec, OnSinkError, SinkSpec, SpikeStrategy


class PlanRecord(msgspec.Struct, frozen=True):
    """Base of everything a worker is sent."""


class Cycle(PlanRecord, frozen=True, kw_only=True):
    """A window of `for_ns` in every `every_ns`; 0 < for_ns < every_ns."""

    every_ns: int
    for_ns: int


class Burst(PlanRecord, frozen=True, kw_only=True):
    """The rate times `multiplier` at the head of the cycle."""

    cycle: Cycle
    multiplier: float


class Silence(PlanRecord, frozen=True, kw_only=True):
    """One silence [start_ns, end_ns) on the scenario clock."""

    start_ns: int
    end_ns: int


class RotatingLabel(PlanRecord, frozen=True, kw_only=True):
    """A label whose value at tick k has the index i = k mod cardinality: `values[i]`, or `prefix` and the decimal i."""

    key: str
    cardinality: int
    prefix: str
    values: tuple[str, ...] | None = None


class LabelSpike(PlanRecord, frozen=True, kw_only=True):
    """A rotating label that is present at the head of `cycle` only.

    The value of index i is `prefix` and the decimal i, or 16 hex digits of `mix(seed ^ i)` under `random`.
    """

    key: str
    cycle: Cycle
    cardinality: int
    prefix: str
    strategy: SpikeStrategy
    seed: int


MAX_LABEL_SPIKES = 32
"""Spikes per entry: which of them are active at a tick travels as one bit each."""


class EntryPlan(PlanRecord, frozen=True, kw_only=True):
    """One entry, ready to run.

    Attributes:
        name: metric name.
        rate: events per second at the base rate, finite and > 0.
        duration_ns: length of the run from its own start; None runs until stopped.
        phase_offset_ns: wait between the body's common start instant and this entry's start.
        anchor_ns: wall-clock instant (ns since the epoch) that stands for the entry's start in stamps, or None for
            the real one; `shift_ns` is added to it.
        labels: static labels in ascending key order.
    """

    id: str | None
    name: str
    rate: float
    duration_ns: int | None
    phase_offset_ns: int = 0
    anchor_ns: int | None = None
    shift_ns: int = 0
    generator: GeneratorSpec
    jitter: float = 0.0
    jitter_seed: int = 0
    labels: dict[str, str]
    dynamic_labels: tuple[RotatingLabel, ...] = ()
    cardinality_spikes: tuple[LabelSpike, ...] = ()
    gaps: Cycle | None = None
    gap_windows: tuple[Silence, ...] = ()
    bursts: Burst | None = None
    encoder: EncoderSpec
    sink: SinkSpec
    on_sink_error: OnSinkError = "warn"


class PlannedEntry(PlanRecord, frozen=True, kw_only=True):
    """An entry as the supervisor keeps it.

    Attributes:
        plan: what the worker gets.
        config: the entry as clients see it in `GET /scenarios/{id}`, secrets masked.
        clock_group: the group the entry names; a label only, entries of one body always start together.
    """

    plan: EntryPlan
    config: dict[str, Any]
    clock_group: str | None = None


class Plan(PlanRecord, frozen=True, kw_only=True):
    """A whole body: its entries are launched together or not at all."""

    scenario_name: str | None
    entries: tuple[PlannedEntry, ...]
