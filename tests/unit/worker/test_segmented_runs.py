"""Bodies in segments, each entry run to its end on a clock of its own: together they write what the whole body does."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.digest import add_digests, digest_of
from common.plan import EntryPlan
from common.segments import Segment
from supervisor.compiler import AS_IT_IS, Asked, BodyFormat, Context, compile_scenario, prepare
from tests.support.bodies import Body, bodies
from tests.support.few_examples import few_examples
from tests.support.manual_waiter import ManualWaiter
from tests.support.run_stage import RunStage


def run_of(plan: EntryPlan) -> RunStage:
    """Run an entry to its end."""
    stage = RunStage(plan)
    stage.run_with(ManualWaiter(stage.clock))
    return stage


def digests(body: Body, segment: Segment) -> list[str]:
    """The digest of each entry that a segment has something of."""
    context = Context()
    asked = Asked(segment=segment, digest=True)
    plan = prepare(compile_scenario(json.dumps(body).encode(), BodyFormat.JSON, context), context, asked)
    return [str(digest_of(entry.plan, run_of(entry.plan).board.row(0).read())) for entry in plan.entries]


def written(body: Body, asked: Asked = AS_IT_IS) -> list[tuple[str, list[bytes]]]:
    """What each entry writes, by its id."""
    context = Context()
    plan = prepare(compile_scenario(json.dumps(body).encode(), BodyFormat.JSON, context), context, asked)
    return [(str(entry.plan.id), run_of(entry.plan).sink.events) for entry in plan.entries]


def counted(entries: list[tuple[str, list[bytes]]]) -> Counter[tuple[str, bytes]]:
    return Counter((entry_id, event) for entry_id, events in entries for event in events)


@few_examples
@given(body=bodies(), count=st.sampled_from([1, 2, 3, 7, 16]))
def test_segments_write_together_what_the_whole_body_writes(body: Body, count: int) -> None:
    """As a multiset of events, with their stamps; within a segment in the order of the whole."""
    whole = written(body)
    segments = [written(body, Asked(segment=Segment(index, count))) for index in range(1, count + 1)]
    assert sum((counted(entries) for entries in segments), Counter()) == counted(whole)
    for entries in segments:
        for entry_id, events in entries:
            order = iter(dict(whole)[entry_id])
            assert all(event in order for event in events)


@few_examples
@given(body=bodies(gated=True), count=st.sampled_from([2, 3, 7, 16]))
def test_gates_change_at_the_same_instants_in_every_segment(body: Body, count: int) -> None:
    """Their upstreams are computed, whichever segment they belong to; so are the last samples of what they close."""
    whole = written(body, Asked(segment=Segment(1, 1)))
    segments = [written(body, Asked(segment=Segment(index, count))) for index in range(1, count + 1)]
    assert sum((counted(entries) for entries in segments), Counter()) == counted(whole)


@few_examples
@given(body=bodies(gated=True), count=st.sampled_from([2, 3, 7]))
def test_digests_of_segments_add_up(body: Body, count: int) -> None:
    """To that of the whole body, whichever entry and segment each record came from."""
    parts = [one for index in range(1, count + 1) for one in digests(body, Segment(index, count))]
    assert add_digests(parts) == add_digests(digests(body, Segment(1, 1)))


@pytest.mark.parametrize("count", [2, 3, 16])
def test_ticks_take_turns(count: int) -> None:
    """`split: ticks` gives tick k to the segment k modulo their number."""
    entry = {
        "signal_type": "metrics",
        "name": "fast",
        "rate": 100,
        "duration": "1s",
        "generator": {"type": "step", "step_size": 1},
        "split": "ticks",
    }
    for index in range(1, count + 1):
        ((_, events),) = written({"version": 2, "scenarios": [entry]}, Asked(segment=Segment(index, count)))
        assert [int(event.split()[1]) for event in events] == list(range(index - 1, 100, count))
