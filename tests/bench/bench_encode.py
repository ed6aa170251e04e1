"""Ticks per second of generator, encoder and one write a batch, on one core, without schedule, delivery and board.

Run as `python tests/bench/bench_encode.py [word …]`; words select rows by name. Every row is compared with two
yardsticks of the same run: a straightforward loop that formats and writes one event at a time, and raw writes of the
same bytes. Bytes go to the null device, in the loop through a buffered file. A tick is a line, or as many as an
observed signal has series.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# As the template of the workers does: numpy's own logarithm for wide vectors has not the C library's bits.
os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512F AVX512_SKX")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from common.plan import EntryPlan, GeneratorPlan, Histogram, ReplayColumn, RotatingLabel, Summary
from common.specs import (
    Constant,
    EncoderSpec,
    Exponential,
    InfluxLp,
    JsonLines,
    LogTemplate,
    PrometheusText,
    Sawtooth,
    Sequence,
    Sine,
    Spike,
    Step,
    Syslog,
    Template,
    Uniform,
)
from common.units import number_text
from tests.support.per_event import encode_event, labels_of, series_of
from tests.support.plans import DEFAULT_BUCKETS, DEFAULT_QUANTILES, entry_plan
from worker import encoders, generators
from worker.ticks.batch import BATCH_EVENTS, Batch

SECONDS = 0.5
STEPS = 32
RATE = 10_000_000.0
PERIOD_NS = 100
LABELS = {"host": "node-01", "region": "eu-west-1", "zone": "a"}
START_NS = 1_731_587_696_789_000_000

GENERATORS: dict[str, GeneratorPlan] = {
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
    "influx_lp": InfluxLp(),
    "prometheus_text precision 2": PrometheusText(precision=2),
}
DYNAMIC = (RotatingLabel(key="pod", cardinality=100, prefix="pod-"),)
WIDE = (RotatingLabel(key="pod", cardinality=100_000, prefix="pod-"),)


LOGS = LogTemplate(
    templates=(
        Template(
            message="Request from {ip} to {endpoint}",
            field_pools={"ip": ("10.0.0.1", "10.0.0.2", "10.0.0.3"), "endpoint": ("/api", "/health", "/metrics")},
        ),
    ),
    severity_weights={"info": 0.7, "warn": 0.2, "error": 0.1},
    seed=42,
)
MANY = tuple(f"value-{number}" for number in range(100))
WIDE_LOGS = LogTemplate(
    templates=tuple(
        Template(message=f"{word} {{user}} from {{ip}}", field_pools={"user": MANY, "ip": MANY})
        for word in ("login", "logout", "refused")
    ),
    severity_weights={"info": 0.7, "warn": 0.2, "error": 0.1},
)
DRAWN = {"distribution": Exponential(rate=10), "observations_per_tick": 100, "mean_shift_per_sec": 0.0, "seed": 42}
OBSERVED: dict[str, tuple[str, GeneratorPlan]] = {
    "histogram 100 observations": ("histogram", Histogram(buckets=DEFAULT_BUCKETS, **DRAWN)),
    "summary 100 observations": ("summary", Summary(quantiles=DEFAULT_QUANTILES, **DRAWN)),
}


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
    for name, source in (("template", LOGS), ("template of many values", WIDE_LOGS)):
        for encoder in (JsonLines(), Syslog()):
            plan = entry_plan(
                name="app", signal_type="logs", rate=RATE, labels=LABELS, generator=source, encoder=encoder
            )
            yield Case(f"{type(encoder).__name__} logs {name}", plan)
    for name, (signal, observed) in OBSERVED.items():
        yield Case(name, entry_plan(name="latency", signal_type=signal, rate=RATE, labels=LABELS, generator=observed))
    column = ReplayColumn(values=np.random.default_rng(1).random(1_000_000).round(4).tobytes(), repeat=True)
    yield Case("csv_replay of 1 000 000 rows", entry_plan(name="replayed", rate=RATE, labels=LABELS, generator=column))


def columnar(plan: EntryPlan, batch_events: int) -> Callable[[int], bytes]:
    generator = generators.build(plan)
    encoder = encoders.build(plan)
    offsets_ns = START_NS + np.arange(batch_events) * PERIOD_NS

    def encode(batch_number: int) -> bytes:
        first_tick = batch_number * batch_events
        stamps_ns = offsets_ns + first_tick * PERIOD_NS
        values = generator.values(first_tick, batch_events)
        return encoder.encode(Batch(first_tick, values, stamps_ns)).payload

    return encode


def per_event(plan: EntryPlan) -> Callable[[int], bytes]:
    """Return one tick to its lines, as one would write it at first."""
    generator = generators.build(plan)
    series = series_of(plan)
    encoder = plan.encoder
    precision = None if isinstance(encoder, Syslog) else encoder.precision

    def text(tick: int) -> bytes:
        row = generator.values(tick, 1)[0]
        stamp_ns = START_NS + tick * PERIOD_NS
        if plan.signal_type == "logs":
            return b"".join(encode_event(plan, tick, row, stamp_ns))
        return b"".join(
            line(name, labels_of(plan, tick, 0, own_label), value, stamp_ns)
            for (name, own_label), value in zip(series, np.atleast_1d(row).tolist(), strict=True)
        )

    def line(name: str, labels: dict[str, str], value: float, stamp_ns: int) -> bytes:
        if isinstance(encoder, JsonLines):
            instant = datetime.fromtimestamp(stamp_ns // 1_000_000_000, UTC)
            stamp = f"{instant:%Y-%m-%dT%H:%M:%S}.{stamp_ns // 1_000_000 % 1000:03d}Z"
            event = {"name": name, "value": value, "labels": labels, "timestamp": stamp}
            return json.dumps(event, separators=(",", ":")).encode() + b"\n"
        number = number_text(value) if precision is None else f"{value:.{precision}f}"
        if isinstance(encoder, InfluxLp):
            tags = "".join(f",{key}={label}" for key, label in labels.items())
            return f"{name}{tags} value={number} {stamp_ns}\n".encode()
        pairs = ",".join(f'{key}="{label}"' for key, label in labels.items())
        return f"{name}{{{pairs}}} {number} {stamp_ns // 1_000_000}\n".encode()

    return text


def rate_per_sec(step: Callable[[int], int]) -> float:
    """Return how many ticks per second of processor time `step`, called with 0, 1, …, writes; it returns how many."""
    best = 0.0
    number = 0
    for _ in range(3):
        ticks = 0
        start = time.process_time()
        while (elapsed := time.process_time() - start) < SECONDS / 3:
            for _ in range(STEPS):
                ticks += step(number)
                number += 1
        best = max(best, ticks / elapsed)
    return best


def measure(case: Case, null: int) -> None:
    encode = columnar(case.plan, BATCH_EVENTS)
    encode_one = columnar(case.plan, 1)
    line = per_event(case.plan)
    payload = encode(0)
    assert payload.startswith(line(0)), (payload[:200], line(0))

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
        f"{case.name:44} {batched / 1e6:7.2f} M ticks/s  {batched / looped:5.1f} x per-event loop"
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
