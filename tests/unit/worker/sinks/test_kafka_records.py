"""Events as records: whole, in order, each with its key and its instant, however they were cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.labels import LabelSpace, label_space
from common.plan import Cycle, EntryPlan, LabelSpike, RotatingLabel
from tests.support.plans import entry_plan
from worker.sinks.batching import BatchBuffer, Batching, Piece
from worker.sinks.kafka_records import Record, records_of
from worker.ticks.batch import Batch, Encoded

MS = 1_000_000
NO_LABELS = LabelSpace({})


def piece_of(
    lines: list[bytes], per_event: int = 1, *, known: bool = False, first_tick: int = 0, mask: int = 0
) -> Piece:
    events = len(lines) // per_event
    stamps_ns = np.arange(first_tick, first_tick + events, dtype=np.int64) * MS + 1_700_000_000_000 * MS
    batch = Batch(first_tick, np.zeros(events), stamps_ns, mask)
    ends = np.cumsum([len(line) for line in lines]) if known else None
    encoded = Encoded(b"".join(lines), events, per_event, ends)
    return Piece(batch, encoded, 0, len(lines), encoded.payload, 0)


def labelled() -> EntryPlan:
    return entry_plan(
        labels={"zone": "z"},
        dynamic_labels=(
            RotatingLabel(key="host", cardinality=3, prefix="web-"),
            RotatingLabel(key="path", cardinality=5, prefix="p"),
        ),
        cardinality_spikes=(
            LabelSpike(
                key="pod",
                cycle=Cycle(every_ns=10 * MS, for_ns=MS),
                cardinality=2,
                prefix="pod-",
                strategy="counter",
                seed=0,
            ),
        ),
    )


def test_a_line_is_a_record_without_its_line_feed() -> None:
    """With the instant of its tick, in milliseconds."""
    assert records_of([piece_of([b"up 1\n", b"up 2\n"])], NO_LABELS, None) == [
        (b"up 1", None, 1_700_000_000_000),
        (b"up 2", None, 1_700_000_000_001),
    ]


def test_an_event_of_several_lines_is_one_record() -> None:
    """The line feeds within it stay."""
    records = records_of([piece_of([b"a 1\n", b"b 1\n", b"a 2\n", b"b 2\n"], 2)], NO_LABELS, None)
    assert [value for value, _, _ in records] == [b"a 1\nb 1", b"a 2\nb 2"]


def test_bytes_stay_as_they_are() -> None:
    """A message may hold line feeds, and end with one."""
    records = records_of([piece_of([b"\n\n", b"a\n", b"b", b""], known=True)], NO_LABELS, None)
    assert [value for value, _, _ in records] == [b"\n\n", b"a\n", b"b", b""]


def test_an_instant_before_the_epoch_is_not_taken_for_the_present() -> None:
    """A record without a stamp would be stamped by the library."""
    batch = Batch(0, np.zeros(2), np.array([-5 * MS, 0]))
    encoded = Encoded(b"a\nb\n", 2)
    (first, second) = records_of([Piece(batch, encoded, 0, 2, encoded.payload, 0)], NO_LABELS, None)
    assert (first[2], second[2]) == (1, 1)


@pytest.mark.parametrize(
    ("key", "mask", "keys"),
    [
        ("zone", 0, [b"z"] * 4),
        ("host", 0, [b"web-1", b"web-2", b"web-0", b"web-1"]),
        ("pod", 1, [b"pod-1", b"pod-0", b"pod-1", b"pod-0"]),
        ("pod", 0, [None] * 4),
    ],
)
def test_the_key_is_the_value_of_a_label(key: str, mask: int, keys: list[bytes | None]) -> None:
    """Of any kind; an event without the label has no key."""
    piece = piece_of([b"1\n", b"2\n", b"3\n", b"4\n"], first_tick=7, mask=mask)
    assert [found for _, found, _ in records_of([piece], label_space(labelled()), key)] == keys


@given(
    batches=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    limit=st.integers(1, 20),
    per_event=st.integers(1, 3),
    known=st.booleans(),
    key=st.sampled_from(["host", "path", "zone", None]),
)
def test_records_do_not_depend_on_cuts(
    batches: list[int], limit: int, per_event: int, known: bool, key: str | None
) -> None:
    """One record for each tick, with what the labels say of that tick, whatever made a request."""
    plan, space, tick = labelled(), label_space(labelled()), 0
    buffer = BatchBuffer(Batching(limit, "bytes", 0, whole_events=True), 0)
    records: list[Record] = []
    for events in batches:
        lines = [b"%d/%d\n" % (tick + event, part) for event in range(events) for part in range(per_event)]
        whole = piece_of(lines, per_event, known=known, first_tick=tick)
        first = 0
        while first < len(lines):
            first = buffer.add(whole.batch, whole.encoded, first, 0, 0)
            if buffer.is_due:
                records += records_of(buffer.take(0), space, key)
        tick += events
    records += records_of(buffer.take(0), space, key)
    assert len(records) == tick
    for number, (value, found, stamp_ms) in enumerate(records):
        lines = [b"%d/%d\n" % (number, part) for part in range(per_event)]
        whole_event = b"".join(lines)
        assert value == (whole_event if known else whole_event[:-1])
        text = dict(label_space(plan).at(number)).get(key or "")
        assert found == (None if text is None else text.encode())
        assert stamp_ms == 1_700_000_000_000 + number
