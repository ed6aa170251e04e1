"""What a figure is read against: the plain way to write the same bytes, and the bare write() of them."""

import json
import math
import os
import random
import time
from collections.abc import Callable
from typing import Any

from served import LABELS

_RATE = 1e6
_DRAW = random.Random(7)
_SEQUENCE = (20, 20, 95, 95.5, 95, 20)

_VALUES: dict[str, Callable[[int], float]] = {
    "constant": lambda tick: 42.0,
    "sawtooth": lambda tick: tick / _RATE % 60.0 / 60.0 * 100.0,
    "sine": lambda tick: 50.0 + 50.0 * math.sin(2 * math.pi * tick / _RATE / 60.0),
    "uniform": lambda tick: _DRAW.uniform(0.0, 100.0),
    "sequence": lambda tick: _SEQUENCE[tick % 6],
}


def _text_line(name: str, value: float, stamp_ms: int) -> bytes:
    pairs = ",".join(f'{key}="{text}"' for key, text in sorted(LABELS.items()))
    number = str(int(value)) if value == int(value) else repr(value)
    return f"{name}{{{pairs}}} {number} {stamp_ms}\n".encode()


def _json_line(name: str, value: float, stamp_ms: int) -> bytes:
    record: dict[str, Any] = {"name": name, "value": value, "labels": LABELS, "timestamp": stamp_ms}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def per_event_loop(generator: str, encoder: str, secs: float = 1.5) -> float:
    """Return events per second of a loop that makes, stamps, formats and writes one event after the other.

    Written as one would without a thought of speed, into a file that buffers 64 KiB.
    """
    value_at = _VALUES[generator]
    line = _json_line if encoder == "json_lines" else _text_line
    tick = 0
    with open("/dev/null", "wb", buffering=65536) as out:
        begin = time.perf_counter()
        while (now := time.perf_counter()) < begin + secs:
            for _ in range(100):
                out.write(line(generator, value_at(tick), time.time_ns() // 1_000_000))
                tick += 1
    return tick / (now - begin)


def raw_write(path: str, line_bytes: int, secs: float = 0.5) -> float:
    """Return how many lines of `line_bytes` a second plain write() puts into `path`, 64 KiB at a time."""
    chunk = b"x" * 65536
    written = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        begin = time.perf_counter()
        while (now := time.perf_counter()) < begin + secs:
            for _ in range(100):
                written += os.write(descriptor, chunk)
    finally:
        os.close(descriptor)
    return written / line_bytes / (now - begin)
