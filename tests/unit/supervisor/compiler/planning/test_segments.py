"""Which series belong to which segment: each to one, all segments alike, the same on every host."""

import json
import re
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.labels import Labels, label_space
from common.own_ticks import own_ticks
from common.plan import Plan
from common.segments import MAX_SEGMENTS, Segment
from supervisor.compiler import Asked, BodyFormat, Context, compile_scenario, prepare
from supervisor.compiler.planning.segments import MOST_UNITS
from tests.support.bodies import bodies
from tests.support.compiling import body, entry, refusal_of

_NONE = ["0/7", "8/7", "2/0", "0/0", "-1/7", "1/-7", "1/65537", "1", "/", "1/2/3", "²/7"]
COUNTS = [1, 2, 3, 7, 16]


def planned(text: str, segment: Segment | None = None) -> Plan:
    context = Context()
    return prepare(compile_scenario(text.encode(), BodyFormat.JSON, context), context, Asked(segment=segment))


def segments(text: str, count: int) -> list[Plan]:
    context = Context()
    compiled = compile_scenario(text.encode(), BodyFormat.JSON, context)
    return [prepare(compiled, context, Asked(segment=Segment(index, count))) for index in range(1, count + 1)]


def rotating(cardinality: int, **fields: Any) -> dict[str, Any]:
    return entry(dynamic_labels=[{"key": "host", "prefix": "h", "cardinality": cardinality}], **fields)


def dealt(count: int, *cards: int) -> float:
    """By how much the rate of a segment differs from the mean at most, for entries of these cardinalities."""
    entries = [rotating(card, id=f"e{number}", name=f"m{number}", rate=10) for number, card in enumerate(cards)]
    rates = [plan.segment.rate for plan in segments(body(*entries), count) if plan.segment is not None]
    mean = sum(rates) / count
    return max(abs(rate - mean) for rate in rates) / mean


@settings(max_examples=15)
@given(text=bodies(most=2).map(json.dumps), count=st.sampled_from(COUNTS))
def test_every_series_belongs_to_one_segment(text: str, count: int) -> None:
    """Every label set that an entry can have, whichever of its spikes are active; and every tick."""
    owners: dict[tuple[str, int, Labels], int] = {}
    ticks: Counter[tuple[str, int]] = Counter()
    plans = segments(text, count)
    for number, plan in enumerate(plans):
        for one in plan.entries:
            own, space, entry_id = own_ticks(one.plan), label_space(one.plan), str(one.plan.id)
            for place in range(40):
                tick = place if own is None else own.tick(place)
                ticks[entry_id, tick] += 1
                for mask in range(1 << len(one.plan.cardinality_spikes)):
                    if one.config.get("split") != "ticks":
                        assert owners.setdefault((entry_id, mask, space.at(place, mask)), number) == number
    assert set(ticks.values()) == {1}
    shares = [plan.segment for plan in plans if plan.segment is not None]
    assert sum(share.rate for share in shares) == pytest.approx(shares[0].total_rate)
    assert {share.total_series for share in shares} == {shares[0].total_series}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("cards", [[1000], [7] * 60, [1] * 160, [1] * 100 + [100] * 3, [50, 5003, 3, 3, 3, 800]])
def test_segments_have_equal_rates(cards: list[int], count: int) -> None:
    """Within a tenth, where there are ten times as many series as segments."""
    assert dealt(count, *cards) < 0.1


def test_rates_decide_not_numbers_of_series() -> None:
    """A fast series has a segment for itself."""
    slow = [entry(id=f"e{number}", name=f"m{number}", rate=10) for number in range(10)]
    plans = segments(body(entry(id="fast", name="fast", rate=100), *slow), 2)
    assert sorted(len(plan.entries) for plan in plans) == [1, 10]


def test_the_series_of_an_entry_are_spread_over_its_ticks() -> None:
    """No segment has its ticks in one piece of the rotation, so its rate is even."""
    for plan in segments(body(rotating(1000)), 4):
        own = own_ticks(plan.entries[0].plan)
        assert own is not None
        gaps = [own.tick(number + 1) - own.tick(number) for number in range(1000)]
        assert max(gaps) <= 8


def test_the_same_on_every_host() -> None:
    """The rule has a version; a change of what it yields is another version."""
    text = body(rotating(20), *(entry(id=f"e{number}", name=f"m{number}") for number in range(4)))
    found = [
        {one.plan.id: [] if one.plan.share is None else list(one.plan.share.residues[::4]) for one in plan.entries}
        for plan in segments(text, 3)
    ]
    assert found == [
        {"e0": [], "e2": []},
        {"up": [0, 2, 4, 5, 7, 10, 12, 13, 15, 18], "e1": []},
        {"up": [1, 3, 6, 8, 9, 11, 14, 16, 17, 19], "e3": []},
    ]


def test_values_listed_twice_are_one_series() -> None:
    """Ticks with the same labels go together, however often the value stands in the list."""
    labels = [{"key": "host", "values": ["a", "b", "a", "c", "a", "d"]}]
    plans = segments(body(entry(dynamic_labels=labels)), 3)
    assert sum(plan.segment.series for plan in plans if plan.segment is not None) == 4
    residues = [plan.entries[0].plan.share for plan in plans if plan.entries]
    assert bytes([0, 2, 4]) in [share.residues[::4] for share in residues if share is not None]


@pytest.mark.parametrize("cardinality", [2**64 - 1, 10**9, MOST_UNITS + 1])
def test_more_series_than_are_told_apart(cardinality: int) -> None:
    """They go in groups of equal size, so long as their number can be divided."""
    plans = segments(body(rotating(cardinality)), 2)
    for plan in plans:
        for one in plan.entries:
            assert one.plan.share is None or cardinality % one.plan.share.period == 0
        assert plan.segment is not None
        assert plan.segment.rate == pytest.approx(5, rel=0.01)
    assert sum(plan.segment.series for plan in plans if plan.segment is not None) == cardinality


_DRAWN = {"generator": None, "distribution": {"type": "exponential", "rate": 1}}


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("a histogram", {"signal_type": "histogram"} | _DRAWN),
        ("a summary", {"signal_type": "summary"} | _DRAWN),
        ("`temporality: delta`", {"metric_type": "counter", "encoder": {"type": "otlp", "temporality": "delta"}}),
    ],
)
def test_what_follows_from_all_ticks_belongs_to_one_segment(said: str, fields: dict[str, Any]) -> None:
    """It would be wrong anywhere else; its ticks cannot take turns."""
    counting = rotating(50, **fields)
    assert sorted(len(plan.entries) for plan in segments(body(counting), 3)) == [0, 0, 1]
    refused = refusal_of(body(counting | {"split": "ticks"}))
    assert refused.status == 422
    assert f"split: ticks is not for an entry with {said}" in refused.detail


def test_a_series_of_several_segments_cannot_be_closed() -> None:
    """The last sample of a gate would come from each of them."""
    gated = {"duration": "1s", "while_": {"ref": "up", "op": ">", "value": 1}, "split": "ticks"}
    snapping = entry(id="down", **gated, delay={"close": {"snap_to": 0}})
    assert "split: ticks is not for an entry whose gate closes its series" in refusal_of(body(entry(), snapping)).detail
    remote = {"encoder": {"type": "remote_write"}, "sink": {"type": "remote_write", "url": "http://127.0.0.1:1"}}
    assert "gate closes its series" in refusal_of(body(entry(), entry(id="down", **gated, **remote))).detail
    silent = entry(id="down", **gated, **remote, delay={"close": {"stale_marker": False}})
    assert len(segments(body(entry(), silent), 2)[0].entries) >= 1


def test_defaults_say_how_entries_are_shared() -> None:
    """`split` is inherited like the other fields of `defaults`."""
    plans = segments(body(entry(), defaults={"split": "ticks"}), 2)
    assert [plan.entries[0].plan.own_rate for plan in plans] == [5.0, 5.0]


def test_a_gate_on_another_body_is_refused_in_segments() -> None:
    """Nobody here knows what it does; a whole body may have one."""
    clause = {"ref": "x", "op": ">", "value": 1, "scenario_name": "other"}
    gated = body(entry(duration="1s", while_=clause), scenario_name="mine")
    assert planned(gated).entries
    with pytest.raises(Exception, match="a gate on another body cannot run in segments"):
        planned(gated, Segment(1, 2))


def test_a_plan_says_what_the_segment_has() -> None:
    """In its own figures and in those of the whole, and in each of its entries."""
    plan = planned(body(rotating(10), entry(id="t", name="t", rate=20, split="ticks")), Segment(2, 5))
    assert plan.segment is not None
    told = msgspec.to_builtins(plan.segment)
    other = planned(body(rotating(10), entry(id="t", name="t", rate=20, split="ticks")), Segment(1, 5)).segment
    assert other is not None
    assert told.pop("fingerprint") == other.fingerprint
    assert told == {
        "index": 2,
        "count": 5,
        "version": 1,
        "series": 3,
        "total_series": 11,
        "rate": 6.0,
        "total_rate": 30.0,
    }
    assert {one.segment for one in plan.entries} == {"2/5"}


@pytest.mark.parametrize("text", ["1/1", "2/7", "7/7", f"65536/{MAX_SEGMENTS}"])
def test_a_segment_is_read(text: str) -> None:
    """And written as it was read."""
    assert str(Segment.parse(text)) == text


@given(text=st.sampled_from(_NONE) | st.text())
def test_anything_else_is_refused(text: str) -> None:
    """With words that say what is expected."""
    assume(not re.fullmatch("[0-9]+/[0-9]+", text) or text in _NONE)
    with pytest.raises(ValueError, match=r"expected I/N with 1 <= I <= N <= 65536, such as 2/7"):
        Segment.parse(text)
