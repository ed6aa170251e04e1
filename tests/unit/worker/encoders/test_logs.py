"""Log lines: recorded examples and events, and both ways of filling templates."""

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from common.plan import SEVERITIES, ReplayRows
from common.specs import EncoderSpec, JsonLines, LogTemplate, Syslog, Template
from tests.support.per_event import encode_event
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.ticks.batch import USUAL_BATCH_EVENTS, Batch

STAMP_NS = 1_731_587_696_789_123_456
INSTANT = "2024-11-14T12:34:56.789Z"


def lines_of(source: LogTemplate | ReplayRows, encoder: EncoderSpec, count: int = 1, **fields: Any) -> list[str]:
    plan = entry_plan(signal_type="logs", generator=source, encoder=encoder, **fields)
    values = generators.build(plan).values(0, count)
    encoded = encoders.build(plan).encode(Batch(0, values, np.full(count, STAMP_NS)))
    return [encoded.payload[start:end].decode() for start, end in pairwise([0, *encoded.ends()])]


def one_row(severity: str, message: str, **fields: str) -> ReplayRows:
    return ReplayRows(
        severities=bytes([SEVERITIES.index(severity)]),
        messages=(message,),
        fields={name: (value,) for name, value in fields.items()},
        repeat=True,
    )


def test_json_example() -> None:
    """The recorded line, byte for byte."""
    row = one_row("warn", 'disk "sdb" slow', ms="41", dev="sdb")
    line = (
        f'{{"timestamp":"{INSTANT}","severity":"warn","message":"disk \\"sdb\\" slow",'
        '"labels":{"site":"gru1"},"fields":{"dev":"sdb","ms":"41"}}\n'
    )
    assert lines_of(row, JsonLines(), labels={"site": "gru1"}) == [line]


def test_an_empty_field_is_there_and_an_absent_one_is_not() -> None:
    """They are different things."""
    row = ReplayRows(severities=b"\2", messages=("m",), fields={"a": ("",), "b": (None,)}, repeat=True)
    assert lines_of(row, JsonLines())[0].endswith('"fields":{"a":""}}\n')


def test_syslog_example() -> None:
    """The recorded line, byte for byte."""
    row = one_row("warn", "disk slow", dev="sdb")
    labels = {"path": "/a]b", "q": 'x"y\\z'}
    assert lines_of(row, Syslog(hostname="n7", app_name="probe"), labels=labels) == [
        f'<12>1 {INSTANT} n7 probe - - [sonda path="/a\\]b" q="x\\"y\\\\z"] disk slow\n'
    ]


@pytest.mark.parametrize(("severity", "priority"), list(zip(SEVERITIES, (15, 15, 14, 12, 11, 8), strict=True)))
def test_syslog_priorities(severity: str, priority: int) -> None:
    """Facility 1 and the severity of each level; without labels the structured data is a dash."""
    assert lines_of(one_row(severity, "m"), Syslog()) == [f"<{priority}>1 {INSTANT} sonda sonda - - - m\n"]


def test_empty_message_leaves_one_trailing_space() -> None:
    """An entry without templates logs an empty message at info, without fields."""
    assert lines_of(LogTemplate(templates=()), Syslog()) == [f"<14>1 {INSTANT} sonda sonda - - - \n"]
    assert lines_of(LogTemplate(templates=()), JsonLines()) == [
        f'{{"timestamp":"{INSTANT}","severity":"info","message":"","labels":{{}},"fields":{{}}}}\n'
    ]


def test_a_message_with_a_line_feed_is_one_event_of_two_lines() -> None:
    """Syslog writes line feeds raw; where the event ends is still known."""
    row = ReplayRows(severities=bytes([2, 2]), messages=("a\nb", "c"), fields={}, repeat=True)
    assert lines_of(row, Syslog(), 3) == [
        f"<14>1 {INSTANT} sonda sonda - - - a\nb\n",
        f"<14>1 {INSTANT} sonda sonda - - - c\n",
        f"<14>1 {INSTANT} sonda sonda - - - a\nb\n",
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("login {user} from {ip}", "login ann from ::1"),
        ("{ip}{ip}", "::1::1"),
        ("{missing} {user}", "{missing} ann"),
        ('{"k":"{user}"}', '{"k":"{user}"}'),
        ("a { b", "a { b"),
        ("{user", "{user"),
        ("} {user}", "} ann"),
        ("{} {user}", "{} ann"),
        ("{{user}}", "{{user}}"),
        ("{nested}", "{user}"),
        ("", ""),
    ],
)
def test_placeholders(template: str, message: str) -> None:
    """Known names are replaced once from the left, unknown ones stay, inserted values are not scanned again."""
    pools = {"user": ("ann",), "ip": ("::1",), "nested": ("{user}",)}
    source = LogTemplate(templates=(Template(message=template, field_pools=pools),))
    assert lines_of(source, Syslog()) == [f"<14>1 {INSTANT} sonda sonda - - - {message}\n"]


@pytest.mark.parametrize("encoder", [JsonLines(), Syslog()])
@pytest.mark.parametrize("pool_size", [3, 200])
@pytest.mark.parametrize("templates", [1, 3])
def test_few_and_many_combinations_give_the_recorded_lines(
    encoder: EncoderSpec, pool_size: int, templates: int
) -> None:
    """Texts rendered once for every combination, and columns of values where there are too many, are the same."""
    pool = tuple(f'v"{index}' for index in range(pool_size))
    source = LogTemplate(
        templates=tuple(
            Template(message=f"{number}: {{a}} and {{b}}", field_pools={"a": pool, "b": pool[::-1], "c": ("x",)})
            for number in range(templates)
        ),
        severity_weights={"info": 1.0, "error": 1.0},
        seed=5,
    )
    plan = entry_plan(signal_type="logs", generator=source, encoder=encoder, labels={"site": "gru1"})
    choices = generators.build(plan).values(7, USUAL_BATCH_EVENTS)
    stamps_ns = STAMP_NS + np.arange(USUAL_BATCH_EVENTS) * 3_000
    encoded = encoders.build(plan).encode(Batch(7, choices, stamps_ns))
    assert encoded.payload == b"".join(
        line
        for place in range(USUAL_BATCH_EVENTS)
        for line in encode_event(plan, 7 + place, choices[place], stamps_ns.item(place))
    )


@pytest.mark.parametrize("encoder", [JsonLines(), Syslog()])
def test_a_long_template_is_not_multiplied_by_its_pools(encoder: EncoderSpec) -> None:
    """Texts are rendered ahead within a bound: a template of 100 kB with 5 000 values does not become 500 MB."""
    template = Template(message="x" * 100_000 + "{a}{b}", field_pools={"a": tuple("abcd") * 1250, "b": ("1", "2")})
    plan = entry_plan(signal_type="logs", generator=LogTemplate(templates=(template,)), encoder=encoder)
    tracemalloc.start()
    try:
        built = encoders.build(plan)
        encoded = built.encode(Batch(0, generators.build(plan).values(0, 3), np.full(3, STAMP_NS)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert encoded.events == 3
    assert peak < 20 * 1024 * 1024
