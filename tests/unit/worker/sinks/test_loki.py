"""The body of a Loki push: streams, stamps, lines and their escapes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SinkError
from common.plan import Cycle, EntryPlan, LabelSpike, RotatingLabel
from common.specs import LogTemplate, Loki, Template
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from tests.support.station import request_sink
from worker.sinks.batching import BatchBuffer, Batching, Piece
from worker.sinks.loki_push import Entries, line_texts, push_body, stamp_texts
from worker.ticks.batch import Batch, Encoded

LOGS = LogTemplate(templates=(Template(message="m"),))


def plan(*, signal_type: str = "logs", cap: int = 128, **fields: Any) -> EntryPlan:
    sink = Loki(url="http://h", max_streams_per_push=cap)
    generator = {"generator": LOGS} if signal_type == "logs" else {}
    return entry_plan(signal_type=signal_type, sink=sink, **generator, **fields)


def piece(*lines: str, first_tick: int = 0, first: int = 0, written_ns: int = 0, spike_mask: int = 0) -> Piece:
    """Lines at ticks first_tick + first …, stamped with their tick."""
    events = first + len(lines)
    stamps = np.arange(first_tick, first_tick + events, dtype=np.int64)
    batch = Batch(first_tick, np.zeros(events), stamps, spike_mask)
    texts = [f"{line}\n".encode() for line in (*map(str, range(first)), *lines)]
    return Piece(batch, Encoded(b"".join(texts), events), first, len(lines), b"".join(texts[first:]), written_ns)


def pushed(entry: EntryPlan, *pieces: Piece) -> list[dict[str, Any]]:
    clock = ManualClock()
    body = request_sink(entry, ManualWaiter(clock), clock).request(pieces)
    return json.loads(body)["streams"]


def escaped(text: str) -> str:
    """The escapes, a character at a time."""
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(named.get(char, f"\\u{ord(char):04x}" if char < " " else char) for char in text)


@given(
    labels=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4),
    entries=st.lists(
        st.tuples(st.integers(0, 2**62), st.text(st.characters(codec="utf-8"), max_size=20)), min_size=1, max_size=5
    ),
)
def test_a_push_is_spelled_as_recorded(labels: dict[str, str], entries: list[tuple[int, str]]) -> None:
    """Compact, keys ascending, every character escaped as listed and no other."""
    texts = Entries([str(stamp) for stamp, _ in entries], [line for _, line in entries], spelled_out=True)
    body = push_body({tuple(labels.items()): [texts.every(0, len(entries), 1)]})
    stream = ",".join(f'"{escaped(key)}":"{escaped(value)}"' for key, value in sorted(labels.items()))
    values = ",".join(f'["{stamp}","{escaped(line)}"]' for stamp, line in entries)
    assert body.decode() == f'{{"streams":[{{"stream":{{{stream}}},"values":[{values}]}}]}}'


def test_escapes_that_look_alike_stay_apart() -> None:
    r"""A backslash before a b is text; a backspace is the six characters \u0008."""
    entries = Entries(["1", "2"], ["\\b\\f\\\\b", "\b\f\x0b\x1f\x7f"], spelled_out=True)
    body = push_body({(): [entries.every(0, 2, 1)]})
    assert body.endswith(rb'["1","\\b\\f\\\\b"],["2","\u0008\u000c\u000b\u001f' + b'\x7f"]]}]}')


@given(st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")), min_size=1, max_size=8))
def test_lines_lose_their_feed_and_what_is_no_text(lines: list[bytes]) -> None:
    """Each line by itself: a broken character does not reach into the next."""
    payload = b"".join(line + b"\n" for line in lines)
    assert line_texts(payload) == [line.decode(errors="replace") for line in lines]


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=8))
def test_lines_with_known_ends_may_hold_line_feeds(lines: list[bytes]) -> None:
    """Only those at the end go, all of them."""
    ends = np.cumsum([len(line) for line in lines])
    assert line_texts(b"".join(lines), ends) == [line.rstrip(b"\n").decode(errors="replace") for line in lines]


def test_carriage_returns_stay() -> None:
    """Only line feeds end a line."""
    assert line_texts(b"a\r\n\rb\n") == ["a\r", "\rb"]


def test_stamps_are_whole_nanoseconds() -> None:
    """Digits without exponent; before the epoch is 0."""
    stamps = np.array([1731587696789123456, 0, -1, -(2**63), 2**63 - 1], dtype=np.int64)
    assert stamp_texts(stamps) == ["1731587696789123456", "0", "0", "0", "9223372036854775807"]


def test_log_entries_have_their_own_stamps_and_all_labels() -> None:
    """Static and rotating labels make the stream, the tick's instant the stamp."""
    host = RotatingLabel(key="host", cardinality=2, prefix="h")
    streams = pushed(plan(labels={"app": "edge"}, dynamic_labels=(host,)), piece("a", "b", "c", first_tick=3))
    assert streams == [
        {"stream": {"app": "edge", "host": "h0"}, "values": [["4", "b"]]},
        {"stream": {"app": "edge", "host": "h1"}, "values": [["3", "a"], ["5", "c"]]},
    ]


def test_streams_are_ordered_by_their_labels_not_by_arrival() -> None:
    """Compared key by key, value by value; entries inside a stream keep their order over batches."""
    label = RotatingLabel(key="l", cardinality=3, prefix="", values=("b", "a", "b"))
    streams = pushed(plan(dynamic_labels=(label,)), piece("0", "1", "2"), piece("3", "4", first_tick=3))
    assert streams == [
        {"stream": {"l": "a"}, "values": [["1", "1"], ["4", "4"]]},
        {"stream": {"l": "b"}, "values": [["0", "0"], ["2", "2"], ["3", "3"]]},
    ]


def test_label_spikes_make_streams_of_their_own() -> None:
    """While the spike is active, and only then."""
    spike = LabelSpike(
        key="pod", cycle=Cycle(every_ns=10, for_ns=5), cardinality=2, prefix="p", strategy="counter", seed=0
    )
    entry = plan(labels={"pod": "static"}, cardinality_spikes=(spike,))
    streams = pushed(entry, piece("a", "b", spike_mask=1), piece("c", first_tick=2))
    assert streams == [
        {"stream": {"pod": "p0"}, "values": [["0", "a"]]},
        {"stream": {"pod": "p1"}, "values": [["1", "b"]]},
        {"stream": {"pod": "static"}, "values": [["2", "c"]]},
    ]


def test_a_piece_in_the_middle_of_a_batch_has_its_own_ticks() -> None:
    """Labels and stamps are those of its events, not of the batch's first."""
    label = RotatingLabel(key="l", cardinality=4, prefix="v")
    streams = pushed(plan(dynamic_labels=(label,)), piece("x", "y", first_tick=8, first=2))
    assert streams == [
        {"stream": {"l": "v2"}, "values": [["10", "x"]]},
        {"stream": {"l": "v3"}, "values": [["11", "y"]]},
    ]


@given(
    cardinalities=st.lists(st.integers(1, 7), max_size=3),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    first_tick=st.integers(0, 2**40),
)
def test_every_entry_lands_in_the_stream_of_its_tick(
    cardinalities: list[int], sizes: list[int], first_tick: int
) -> None:
    """However labels rotate and batches are cut, as sorting entries one by one would do it."""
    rotating = tuple(RotatingLabel(key=f"k{i}", cardinality=n, prefix="v") for i, n in enumerate(cardinalities))
    entry = plan(dynamic_labels=rotating, cap=10**6)
    tick, pieces, expected = first_tick, [], {}
    for size in sizes:
        pieces.append(piece(*(str(tick + i) for i in range(size)), first_tick=tick))
        for event in range(tick, tick + size):
            labels = tuple((f"k{i}", f"v{event % n}") for i, n in enumerate(cardinalities))
            expected.setdefault(labels, []).append([str(event), str(event)])
        tick += size
    assert pushed(entry, *pieces) == [
        {"stream": dict(labels), "values": expected[labels]} for labels in sorted(expected)
    ]


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), limit=st.integers(1, 7), known=st.booleans())
def test_requests_have_the_entries_of_batches_in_order(sizes: list[int], limit: int, known: bool) -> None:
    """Each once, be it that several requests are cut from one batch or several batches are in one request."""
    sink = request_sink(plan(), ManualWaiter(ManualClock()), ManualClock())
    buffer, tick, found = BatchBuffer(Batching(limit, "records", 0), 0), 0, []
    for size in sizes:
        whole = piece(*(f"line {tick + index}" for index in range(size)), first_tick=tick)
        encoded = Encoded(whole.encoded.payload, size, 1, whole.encoded.record_ends() if known else None)
        record = 0
        while record < size:
            record = buffer.add(whole.batch, encoded, record, 0, 0)
            if buffer.is_due:
                found += json.loads(sink.request(buffer.take(0)))["streams"][0]["values"]
        tick += size
    if buffer:
        found += json.loads(sink.request(buffer.take(0)))["streams"][0]["values"]
    assert found == [[str(number), f"line {number}"] for number in range(tick)]


def test_no_labels_are_an_empty_stream() -> None:
    """Not a missing one."""
    assert pushed(plan(), piece("a")) == [{"stream": {}, "values": [["0", "a"]]}]


def test_more_streams_than_the_cap_are_not_sent() -> None:
    """Exactly the cap is fine; one more drops the batch, for good."""
    label = RotatingLabel(key="l", cardinality=3, prefix="")
    assert len(pushed(plan(dynamic_labels=(label,), cap=3), piece("a", "b", "c"))) == 3
    with pytest.raises(SinkError) as caught:
        pushed(plan(dynamic_labels=(label,), cap=2), piece("a", "b", "c", "d"))
    assert not caught.value.retriable
    assert str(caught.value) == (
        "loki sink: flush would produce 3 streams from 4 entries, but max_streams_per_push is 2. Reduce dynamic_labels"
        " cardinality, raise max_streams_per_push on the sink, or split into per-value scenarios."
    )


@pytest.mark.parametrize("place", ["line", "label"])
def test_the_long_escapes_are_used_wherever_the_character_stands(place: str) -> None:
    """In a line and in a label alike."""
    entry = plan(labels={"l": "\b" if place == "label" else "b"})
    body = request_sink(entry, ManualWaiter(ManualClock()), ManualClock()).request(
        [piece("\f" if place == "line" else "f")]
    )
    assert (rb"\u000c" in body, rb"\u0008" in body) == (place == "line", place == "label")
    assert rb"\b" not in body
    assert rb"\f" not in body


def test_metrics_have_one_stream_and_the_wall_clock() -> None:
    """Rotating labels stay in the line; no two entries share a stamp, or Loki would keep one of them."""
    label = RotatingLabel(key="l", cardinality=3, prefix="")
    entry = plan(signal_type="metrics", labels={"job": "x"}, dynamic_labels=(label,))
    streams = pushed(entry, piece("a", "b", written_ns=100), piece("c", written_ns=101), piece("d", written_ns=500))
    assert streams == [{"stream": {"job": "x"}, "values": [["100", "a"], ["101", "b"], ["102", "c"], ["500", "d"]]}]
