"""The golden lines: what the encoders write for entries whose lines are known."""

import re
from typing import Any

import numpy as np
import pytest

from tests.support.golden import recorded
from tests.support.plans import plan_of
from worker import encoders, generators
from worker.ticks.batch import Batch

STAMP_NS = 1731587696789_000_000
STAMPS = re.compile(
    r'1731587696789(000000)?(?=$)|"2024-11-14T12:34:56\.789Z"|(?<=>1 )2024-11-14T12:34:56\.789Z', re.MULTILINE
)


def known_entries() -> list[Any]:
    return [pytest.param(record["entry"], record["lines"], id=record["entry"]["id"]) for record in recorded()]


@pytest.mark.parametrize(("entry", "lines"), known_entries())
def test_lines_equal_the_golden_ones(entry: dict[str, Any], lines: list[str]) -> None:
    """The first lines of the entry are the recorded ones, timestamps taken out."""
    plan = plan_of(entry)
    count = len(lines)
    values = generators.build(plan).values(0, count)
    encoded = encoders.build(plan).encode(Batch(0, values, np.full(count, STAMP_NS)))
    assert STAMPS.sub("T", encoded.payload.decode()).split("\n")[:count] == lines
