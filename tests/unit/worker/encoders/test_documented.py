"""What the pages about formats and values print is what encoders and generators give."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from common.mixing import mix_number
from common.numbers import json_format, text_format
from common.plan import SEVERITIES, ReplayRows
from common.specs import (
    Constant,
    EncoderSpec,
    InfluxLp,
    JsonLines,
    Memory,
    OtlpEncoder,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    SinkSpec,
    Syslog,
)
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.ticks.batch import Batch

DOCS = Path(__file__).parents[4] / "docs"
FORMATS = (DOCS / "formats.md").read_text()
NEW_YEAR_NS = 1_767_225_600_000_000_000


def rows(title: str) -> list[list[str]]:
    """The cells of a section's first table, without backticks."""
    table = FORMATS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| ")
    ]


def blocks(title: str) -> list[str]:
    """A section's blocks."""
    section = FORMATS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def shown(title: str) -> list[str]:
    """The lines of a section's first block."""
    return blocks(title)[0].splitlines()


@pytest.mark.parametrize(
    ("title", "encoder", "name", "value", "labels"),
    [
        ("Prometheus text", PrometheusText(), "name", 1.5, {"label": "value"}),
        ("Influx lines", InfluxLp(), "name", 1.5, {"label": "value"}),
        ("JSON lines", JsonLines(), "up", 1.0, {"job": "shop"}),
    ],
)
def test_samples_are_written_as_shown(
    title: str, encoder: EncoderSpec, name: str, value: float, labels: dict[str, str]
) -> None:
    """The first line of the block, byte for byte."""
    plan = entry_plan(name=name, labels=labels, encoder=encoder, generator=Constant(value=value))
    encoded = encoders.build(plan).encode(Batch(0, np.array([value]), np.array([NEW_YEAR_NS])))
    assert encoded.payload.decode().splitlines() == shown(title)[:1]


@pytest.mark.parametrize(
    ("title", "encoder", "labels"), [("JSON lines", JsonLines(), {}), ("Syslog", Syslog(), {"job": "shop"})]
)
def test_log_events_are_written_as_shown(title: str, encoder: EncoderSpec, labels: dict[str, str]) -> None:
    """The last line of the block, byte for byte."""
    recorded = ReplayRows(
        severities=bytes([SEVERITIES.index("warn")]), messages=("disk slow",), fields={"dev": ("sdb",)}, repeat=True
    )
    plan = entry_plan(signal_type="logs", labels=labels, encoder=encoder, generator=recorded)
    values = generators.build(plan).values(0, 1)
    encoded = encoders.build(plan).encode(Batch(0, values, np.array([NEW_YEAR_NS])))
    assert encoded.payload.decode().splitlines() == shown(title)[-1:]


@pytest.mark.parametrize(
    ("title", "encoder", "labels", "sinks"),
    [
        (
            "Remote write",
            RemoteWriteEncoder(),
            {"Bay": "2", "unit": "rpm"},
            [Memory(), RemoteWriteSink(url="http://h", protocol_version="2.0")],
        ),
        ("OpenTelemetry", OtlpEncoder(), {"bay": "2"}, [Memory()]),
    ],
)
def test_messages_are_written_as_shown(
    title: str, encoder: EncoderSpec, labels: dict[str, str], sinks: list[SinkSpec]
) -> None:
    """The blocks of a section, byte for byte."""
    plans = [entry_plan(name="fan_rpm", labels=labels, encoder=encoder, sink=sink) for sink in sinks]
    batch = Batch(0, np.array([2.5]), np.array([1731587696789123456]))
    made = [encoders.build(plan).encode(batch).payload for plan in plans]
    assert made == [bytes.fromhex(block) for block in blocks(title)]


def test_numbers_are_spelled_as_shown() -> None:
    """Every row of the table, in its order."""
    values = [7.0, 0.1 + 0.2, -0.0, 1e-5, 2.5e-9, 1e16]
    table = rows("Numbers")[1:]
    assert [[text_format(None).one(value).decode(), json_format(None).one(value).decode()] for value in values] == [
        row[1:] for row in table[:-1]
    ]
    special = [math.nan, math.inf, -math.inf]
    assert ", ".join(text_format(None).one(value).decode() for value in special) == table[-1][1]
    assert {json_format(None).one(value).decode() for value in special} == {table[-1][2]}
    assert (text_format(0).one(2.5), json_format(0).one(2.5)) == (b"2", b"3.0")


def test_hashes_are_those_shown() -> None:
    """The examples of SplitMix64 on the page about values."""
    page = (DOCS / "values.md").read_text()
    assert [f"{mix_number(number):016x}" for number in (0, 1, 42)] == re.findall(r"`([0-9a-f]{16})`", page)
