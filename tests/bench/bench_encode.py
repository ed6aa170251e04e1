"""Lines per second of generator, encoder and one write a batch, on one core, without schedule, delivery and board.

Run as `python tests/bench/bench_encode.py [word …]`; words select rows by name. Every row is compared with two
yardsticks of the same run: a straightforward loop that formats and writes one event at a time, and raw writes of the
same bytes. Bytes go to the null device, in the loop through a buffered file.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from common.plan import EntryPlan, RotatingLabel
from common.specs import (
    Constant,
    EncoderSpec,
    GeneratorSpec,
    JsonLines,
    PrometheusText,
    Sawtooth,
    Sequence,
    Sine,
    Spike,
    Step,
    Uniform,
)
from common.units import number_text
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.batch import BATCH_EVENTS, Batch

SECONDS = 0.5
RATE = 10_000_000.0
LABELS = {"host": "node-01", "region": "eu-west-1", "zone": "a"}
START_NS = 1_731_587_696_789_000_000

GENERATORS: dict[str, GeneratorSpec] = {
    "constant": Constant(value=3.25),
    "sawtooth": Sawtooth(min=10, max=70, period_secs=0.0015),
    "uniform": Uniform(min=0, max=100, seed=7),
    "sequence": Sequence(values=(1.0, 2.5, 3.75, 10.1)),
    "sine": Sine(amplitude=20, period_secs=0.0015, offset=40),
    "step": Step(step_size=1),
    "spike": Spike(baseline=2, magnitude=8.5, duration_secs=0.00012, interval_secs=0.00029),
}
FORMATS: dict[str, EncoderSpec] = {
    "prometheus_text": PrometheusText(),
    "json_lines": JsonLines(),
    "prometheus_text precision 2": PrometheusText(precision=2),
}
DYNAMIC = (RotatingLabel(key="pod", cardinality=100, prefix="pod-"),)
WIDE = (RotatingLabel(key="pod", cardinality=100_000, prefix="pod-"),)


@dataclass
class Case:
    name: str
    plan: EntryPlan


def cases() -> Iterator[Case]:
    for format_name, encoder in FORMATS.items():
        for generator_name, generator in GENERATORS.items():
            plan = entry_plan(name="http_requests", rate=RATE, labels=LABELS, generator=generator, encoder=encoder)
            yield Case(f"{format_name} {generator_name}", plan)
    for labels_name, labels in (("100 label sets", DYNAMIC), ("100 000 label sets", WIDE)):
        for generator_name in ("constant", "uniform"):
            plan = entry_plan(
                name="http_requests",
                rate=RATE,
                labels=LABELS,
                dynamic_labels=labels,
                generator=GENERATORS[generator_name],
            )
            yield Case(f"prometheus_text {generator_name} {labels_name}", plan)


def columnar(plan: EntryPlan, batch_events: int) -> Callable[[int], bytes]:
    generator = generators.build(plan)
    encoder = encoders.build(plan)
    offsets = START_NS + np.arange(batch_events) * (1e9 / plan.rate)

    def encode(batch_number: int) -> bytes:
        first_tick = batch_number * batch_events
        stamps_ns = (offsets + first_tick * (1e9 / plan.rate)).astype(np.int64)
        values = generator.values(first_tick, batch_events)
        return encoder.encode(Batch(first_tick, values, stamps_ns)).payload

    return encode


def per_event(plan: EntryPlan) -> Callable[[int], bytes]:
    """Return one tick to one line, as one would write it at first."""
    generator = generators.build(plan)
    is_json = isinstance(plan.encoder, JsonLines)
    precision = plan.encoder.precision if isinstance(plan.encoder, JsonLines | PrometheusText) else None

    def line(tick: int) -> bytes:
        value = generator.values(tick, 1).item()
        stamp_ns = START_NS + int(tick * (1e9 / plan.rate))
        labels = dict(plan.labels)
        for label in plan.dynamic_labels:
            labels[label.key] = f"{label.prefix}{tick % label.cardinality}"
        if is_json:
            instant = datetime.fromtimestamp(stamp_ns // 1_000_000_000, UTC)
            stamp = f"{instant:%Y-%m-%dT%H:%M:%S}.{stamp_ns // 1_000_000 % 1000:03d}Z"
            event = {"name": plan.name, "value": value, "labels": labels, "timestamp": stamp}
            return json.dumps(event, separators=(",", ":")).encode() + b"\n"
        pairs = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
        number = number_text(value) if precision is None else f"{value:.{precision}f}"
        return f"{plan.name}{{{pairs}}} {number} {stamp_ns // 1_000_000}\n".encode()

    return line


def rate_per_sec(step: Callable[[int], int]) -> float:
    """Return how many events a second `step`, called with 0, 1, …, writes; it returns how many it wrote."""
    best = 0.0
    number = 0
    for _ in range(3):
        events = 0
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < SECONDS / 3:
            events += step(number)
            number += 1
        best = max(best, events / elapsed)
    return best


def measure(case: Case, null: int) -> None:
    encode = columnar(case.plan, BATCH_EVENTS)
    encode_one = columnar(case.plan, 1)
    line = per_event(case.plan)
    payload = encode(1)
    assert payload.startswith(line(BATCH_EVENTS)) or isinstance(case.plan.encoder, JsonLines)

    def write_batch(number: int) -> int:
        os.write(null, encode(number))
        return BATCH_EVENTS

    def write_one(number: int) -> int:
        os.write(null, encode_one(number))
        return 1

    def write_raw(_number: int) -> int:
        os.write(null, payload)
        return BATCH_EVENTS

    with open(os.devnull, "wb") as file:

        def write_line(number: int) -> int:
            file.write(line(number))
            return 1

        looped = rate_per_sec(write_line)
    batched, single, raw = rate_per_sec(write_batch), rate_per_sec(write_one), rate_per_sec(write_raw)
    print(
        f"{case.name:44} {batched / 1e6:7.2f} M lines/s  {batched / looped:5.1f} x per-event loop"
        f"  {batched / raw:6.4f} x raw write  one tick {1e6 / single:5.2f} us"
    )


def main() -> None:
    words = sys.argv[1:]
    null = os.open(os.devnull, os.O_WRONLY)
    for case in cases():
        if all(word in case.name for word in words):
            measure(case, null)


if __name__ == "__main__":
    main()
