"""Captures: what is written reads back as what the store reported."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DecodeError
from common.plan import ReplayColumn
from supervisor.cli.writing.capture_blocks import Captured, GridSeries, capture_csv, capture_scenario
from supervisor.compiler import BodyFormat, Context, compile_scenario, prepare

LABELS = st.dictionaries(
    st.from_regex(r"[a-z]{1,5}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0", exclude_categories=("Cs", "Cc")), max_size=8),
    max_size=3,
)
VALUES = st.one_of(st.none(), st.floats(width=64))


@st.composite
def captures(draw: st.DrawFn) -> Captured:
    """Captures of a few series over a few points."""
    points = draw(st.integers(2, 12))
    step = draw(st.sampled_from([0.25, 1.0, 10.0, 60.0]))
    series = [
        GridSeries({"__name__": name, **draw(LABELS)}, draw(st.lists(VALUES, min_size=points, max_size=points)))
        for name in draw(st.lists(st.sampled_from(["up", "down", "latency"]), min_size=1, max_size=4))
    ]
    stamps = [1_767_225_600 + index * step for index in range(points)]
    return Captured(series, stamps, draw(st.sampled_from([1.0, 4.0, 0.5])))


@given(captures())
def test_a_capture_replays_what_was_captured(tmp_path_factory: pytest.TempPathFactory, captured: Captured) -> None:
    """Every series with its labels, every sample, and a silence for exactly the samples that were missing."""
    path = tmp_path_factory.mktemp("capture") / "capture.csv"
    path.write_text(capture_csv(captured), newline="\n")
    context = Context()
    text = capture_scenario(captured, str(path))
    plan = prepare(compile_scenario(text.encode(), BodyFormat.YAML, context), context)
    wanted = sorted(
        (series.labels["__name__"], sorted((k, v) for k, v in series.labels.items() if k != "__name__"), repr(values))
        for series in captured.series
        for values in [list(series.values)]
    )
    found = []
    for entry in plan.entries:
        generator = entry.plan.generator
        assert isinstance(generator, ReplayColumn)
        slot_ns = 1e9 / entry.plan.rate
        silent = [
            any(gap.start_ns <= row * slot_ns < gap.end_ns for gap in entry.plan.gap_windows)
            for row in range(len(captured.stamps))
        ]
        values = [
            None if is_silent else value
            for is_silent, value in zip(silent, memoryview(generator.values).cast("d"), strict=True)
        ]
        found.append((entry.plan.name, sorted(entry.plan.labels.items()), repr(values)))
    assert sorted(found) == wanted


def test_worked_holes() -> None:
    """Step 10 s over four points: rows 1 and 2 from 5 s for 20 s, row 3 from 25 s for 10 s, faster with a timescale."""
    stamps = [0.0, 10.0, 20.0, 30.0]
    series = [GridSeries({"__name__": "a"}, [1, None, None, 1]), GridSeries({"__name__": "a"}, [1, 1, 1, None])]
    text = capture_scenario(Captured(series, stamps, 1.0), "a.csv")
    assert "- at: 5s\n      for: 20s\n" in text
    assert "- at: 25s\n      for: 10s\n" in text
    assert "timescale: " not in text
    faster = capture_scenario(Captured(series, stamps, 4.0), "a.csv")
    assert "rate: 0.4\n" in faster
    assert "duration: 10s\n" in faster
    assert "- at: 1.25s\n      for: 5s\n" in faster


@pytest.mark.parametrize(
    ("labels", "reason"), [({"a": "b\nc"}, "line break"), ({"a": "b\rc"}, "line break"), ({"a=b": "c"}, "'='")]
)
def test_labels_that_a_header_cannot_hold_are_refused(labels: dict[str, str], reason: str) -> None:
    """A line break or an equals sign in the wrong place would be another label when it is read back."""
    with pytest.raises(DecodeError, match=reason):
        capture_csv(Captured([GridSeries({"__name__": "a", **labels}, [1.0, 2.0])], [0.0, 1.0], 1.0))


def test_steps_that_timestamps_cannot_show_are_refused() -> None:
    """Half a millisecond is lost in the file; a microsecond is too short for a silence."""
    series = [GridSeries({"__name__": "a"}, [1.0, None, 2.0])]
    with pytest.raises(DecodeError, match="rounding"):
        capture_scenario(Captured(series, [0.0, 0.0005, 0.001], 1.0), "a.csv")
    with pytest.raises(DecodeError, match="too short"):
        capture_scenario(Captured(series, [0.0, 0.001, 0.002], 1000.0), "a.csv")
