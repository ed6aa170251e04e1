"""Shapes that are found in numbers, and the files that come of them."""

import math
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.writing.document import scalar
from supervisor.cli.writing.patterns import Pattern, detect
from supervisor.cli.writing.scaffold import csv_text
from supervisor.compiler import BodyFormat, Context, compile_scenario, prepare

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 5.0, 7.0, 9.0], Pattern("step", {"start": 3.0, "step_size": 2.0})),
        (
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            Pattern("flap", {"up_value": 1.0, "down_value": 0.0, "up_duration": "2s", "down_duration": "4s"}),
        ),
        (
            [9.0 if index % 10 == 3 else 1.0 for index in range(40)],
            Pattern(
                "spike_event",
                {"baseline": 1.0, "spike_height": 8.0, "spike_duration": "1s", "spike_interval": "10s"},
            ),
        ),
        (
            [math.sqrt(index) for index in range(20)],
            Pattern("leak", {"baseline": 0.0, "ceiling": math.sqrt(19), "time_to_ceiling": "60s"}),
        ),
        (
            [float(index % 6) for index in range(36)],
            Pattern("sawtooth", {"min": 0.0, "max": 5.0, "period_secs": 6.0}),
        ),
        ([5.0], Pattern("steady", {"center": 5.0, "amplitude": 0.0, "period": "60s"})),
        ([], Pattern("steady", {"center": 0.0, "amplitude": 0.0, "period": "60s"})),
        ([4.0, 6.0, 5.0, 4.5, 5.5], Pattern("steady", {"center": 5.0, "amplitude": 1.0, "period": "60s"})),
    ],
    ids=lambda value: value.kind if isinstance(value, Pattern) else f"{len(value)} values",
)
def test_a_shape_is_found_with_its_parameters(values: list[float], expected: Pattern) -> None:
    """Each shape in its plainest form."""
    assert detect(values) == expected


@given(st.lists(FINITE, max_size=200))
def test_every_row_of_numbers_has_a_shape(values: list[float]) -> None:
    """Whatever the numbers, detection ends with one of the generators."""
    assert detect(values).kind in ("step", "flap", "spike_event", "leak", "sawtooth", "steady")


@given(st.one_of(st.text(st.characters(exclude_categories=("Cs", "Cc"))), FINITE, st.integers(), st.booleans()))
def test_a_value_reads_back_as_what_it_was(value: object) -> None:
    """Texts stay texts and numbers numbers, none of them with an exponent."""
    written = scalar(value)
    assert "\n" not in written
    read = yaml.safe_load(f"key: {written}")["key"]
    read = read.replace("$$", "$") if isinstance(read, str) else read
    assert read == value
    assert type(read) is type(value)
    if isinstance(value, float):
        assert "e" not in written


def test_whatever_is_written_for_a_csv_file_runs(tmp_path: Path) -> None:
    """Columns of every shape, with names that are no metric names and occur twice."""
    source = random.Random(4)
    columns = {
        "9 lives": [float(index) for index in range(60)],
        'cpu{core="0", zone="1"}': [1.0 if index % 9 < 4 else 0.0 for index in range(60)],
        'cpu{core="1"}': [source.gauss(5, 1) for _ in range(60)],
        "cpu": [50.0 if index % 12 == 0 else 1.0 for index in range(60)],
        "": [float(index % 7) * 1e-9 for index in range(60)],
    }
    path = tmp_path / "shapes.csv"
    heading = ",".join('"' + name.replace('"', '""') + '"' for name in columns)
    rows = [f"{index}," + ",".join(repr(column[index]) for column in columns.values()) for index in range(60)]
    path.write_text("\n".join([f"timestamp,{heading}", *rows]))
    text = csv_text(str(path))
    context = Context()
    plan = prepare(compile_scenario(text.encode(), BodyFormat.YAML, context), context)
    assert [entry.plan.name for entry in plan.entries] == ["_9_lives", "cpu", "cpu", "cpu", "column_5"]
    assert [entry.plan.id for entry in plan.entries] == ["_9_lives", "cpu", "cpu_2", "cpu_3", "column_5"]
    assert plan.entries[1].plan.labels == {"core": "0", "zone": "1"}
