"""The golden lines: what the encoders write for entries whose lines are known."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.plans import plan_of
from worker import encoders, generators
from worker.batch import Batch

GOLDEN = Path(__file__).parents[2] / "golden" / "peer-1.29.jsonl"
ENCODERS = ("prometheus_text", "json_lines")
STAMP_NS = 1731587696789_000_000
STAMPS = re.compile(r'1731587696789(?=$)|"2024-11-14T12:34:56\.789Z"', re.MULTILINE)


def recorded_float(text: str) -> float:
    """Return the number that the recorded server took `text` for: its JSON reader rounds digits and power apart."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) - len(fraction)
    digits = float(int(whole + fraction))
    return digits * 10.0**power if power >= 0 else digits / 10.0**-power


def known_entries() -> list[Any]:
    records = [json.loads(line, parse_float=recorded_float) for line in GOLDEN.read_text().splitlines()]
    return [
        pytest.param(record["entry"], record["lines"], id=record["entry"]["id"])
        for record in records
        if record["entry"]["signal_type"] == "metrics" and record["entry"]["encoder"]["type"] in ENCODERS
    ]


@pytest.mark.parametrize(("entry", "lines"), known_entries())
def test_lines_equal_the_golden_ones(entry: dict[str, Any], lines: list[str]) -> None:
    """The first lines of the entry are the recorded ones, timestamps taken out."""
    plan = plan_of(entry)
    count = len(lines)
    values = generators.build(plan).values(0, count)
    encoded = encoders.build(plan).encode(Batch(0, values, np.full(count, STAMP_NS)))
    assert STAMPS.sub("T", encoded.payload.decode()).split("\n")[:count] == lines
