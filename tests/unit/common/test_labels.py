"""Label sets of ticks, and their spelling in a scrape."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.exposition import exposition
from common.families import metadata_text, series_text
from common.labels import LabelSpace, label_space
from common.plan import LabelSpike, RotatingLabel
from tests.support.entries import CYCLE, label_spikes, rotating_labels, static_labels, texts
from tests.support.per_event import labels_of
from tests.support.plans import entry_plan


def spike(key: str, cardinality: int = 3, strategy: str = "counter", seed: int = 0, prefix: str = "s") -> LabelSpike:
    return LabelSpike(key=key, cycle=CYCLE, cardinality=cardinality, prefix=prefix, strategy=strategy, seed=seed)


def test_labels_are_in_key_order_by_code_point() -> None:
    """Upper case comes before the underscore, and that before lower case."""
    space = LabelSpace({"b": "1", "_a": "2", "a1": "3", "B": "4", "a": "5"})
    assert [key for key, _ in space.at(0)] == ["B", "_a", "a", "a1", "b"]


def test_later_labels_replace_earlier_ones() -> None:
    """Rotating labels replace static ones, active spikes replace both, the last of equal keys wins."""
    space = LabelSpace(
        {"k": "static", "other": "o"},
        [RotatingLabel(key="k", cardinality=2, prefix="r"), RotatingLabel(key="k", cardinality=2, prefix="q")],
        [spike("k"), spike("k", prefix="t")],
    )
    assert space.at(1) == (("k", "q1"), ("other", "o"))
    assert space.at(1, 0b01) == (("k", "s1"), ("other", "o"))
    assert space.at(1, 0b11) == (("k", "t1"), ("other", "o"))


def test_spike_labels_are_absent_while_inactive() -> None:
    """Outside its window a spike leaves no label behind."""
    assert LabelSpace({}, (), [spike("pod")]).at(5) == ()


def test_random_spike_equals_the_recorded_one() -> None:
    """The hash of seed 42 and index 1, zero padded to 16 digits."""
    space = LabelSpace({}, (), [spike("pod", strategy="random", seed=42, prefix="")])
    assert space.at(1, 1) == (("pod", "ba69ec90eb4fef88"),)
    assert space.at(4, 1) == space.at(1, 1)


def test_spike_index_follows_the_tick() -> None:
    """A second window does not start over: the index is the tick modulo the cardinality."""
    space = LabelSpace({}, (), [spike("pod", cardinality=10)])
    assert space.at(1007, 1) == (("pod", "s7"),)


@given(
    labels=static_labels,
    rotating=rotating_labels,
    spikes=label_spikes,
    tick=st.integers(0, 2**64 - 1),
    mask=st.integers(0, 7),
)
def test_labels_equal_the_per_event_reference(
    labels: dict[str, str],
    rotating: tuple[RotatingLabel, ...],
    spikes: tuple[LabelSpike, ...],
    tick: int,
    mask: int,
) -> None:
    """Label sets follow from plan, tick and active spikes."""
    plan = entry_plan(labels=labels, dynamic_labels=rotating, cardinality_spikes=spikes)
    assert dict(label_space(plan).at(tick, mask)) == labels_of(plan, tick, mask)


def test_any_number_of_spike_sets_is_answered_right() -> None:
    """Every combination of active spikes has its own labels, also when there are too many to remember."""
    space = LabelSpace({}, (), [spike(f"k{bit}") for bit in range(8)])
    for _ in range(2):
        for mask in range(256):
            assert len(space.at(0, mask)) == mask.bit_count()


@given(value=texts)
def test_escaped_label_values_read_back(value: str) -> None:
    """A reader that undoes the three escapes gets the value; no quote or line feed stays bare."""
    text = series_text("x", (("k", value),))
    match = re.fullmatch(r'x\{k="((?:[^"\\\n]|\\["\\n])*)"\}', text, re.DOTALL)
    assert match is not None
    unescaped = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), match[1])
    assert unescaped == value


def test_series_without_labels_has_no_braces() -> None:
    """An empty label set is just the name."""
    assert series_text("up", ()) == "up"
    assert series_text("up", (("a", ""), ("b", "2"))) == 'up{a="",b="2"}'


@pytest.mark.parametrize(
    ("stamps_ns", "text"),
    [
        (np.array([1_999_999, 2_000_000, 1_731_587_696_789_999_999]), "x 1 1\ny NaN 2\nx 0.1 1731587696789\n"),
        (None, "x 1\ny NaN\nx 0.1\n"),
    ],
)
def test_exposition_is_one_line_a_sample(stamps_ns: np.ndarray | None, text: str) -> None:
    """Samples come in the given order, with whole milliseconds or without a timestamp."""
    body = exposition(["x", "y", "x"], np.array([1.0, np.nan, 0.1]), stamps_ns)
    assert body.decode() == text


def test_exposition_of_nothing_is_empty() -> None:
    """No samples, no bytes."""
    assert exposition([], np.empty(0)) == b""


def test_metadata_escapes_the_help_text() -> None:
    """Help keeps its quotes and escapes backslashes and line feeds; without a text there is no HELP line."""
    assert metadata_text("up", "gauge") == b"# TYPE up gauge\n"
    assert metadata_text("up", "gauge", 'a "b"\\\n') == b'# HELP up a "b"\\\\\\n\n# TYPE up gauge\n'
