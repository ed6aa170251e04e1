"""A recording that ends in silence."""

from pathlib import Path

import pytest

from supervisor.compiler import BodyFormat, Context, compile_scenario, prepare

BODY = """\
version: 2
scenarios:
  - signal_type: metrics
    name: x
    rate: 1
    duration: {duration}
    generator: {{type: csv_replay, file: {path}, repeat: false}}
    gap_windows: [{{at: {at}, for: {step}}}]
"""


@pytest.mark.parametrize(
    ("step", "duration", "at"), [("10s", "20s", "5s"), ("30s", "60s", "15s"), ("7s", "14s", "3.5s")]
)
def test_a_tick_on_the_end_of_the_duration_is_not_waited_for(tmp_path: Path, step: str, duration: str, at: str) -> None:
    """Two rows at a rate that binary fractions cannot hold: the third tick falls on the end, and is not fired."""
    path = tmp_path / "two.csv"
    path.write_text(f"timestamp,up\n0,1\n{step.removesuffix('s')},\n")
    body = BODY.format(duration=duration, path=path, at=at, step=step)
    plan = prepare(compile_scenario(body.encode(), BodyFormat.YAML, Context()), Context())
    assert plan.entries[0].plan.duration_ns == int(duration.removesuffix("s")) * 1_000_000_000
