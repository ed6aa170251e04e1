"""Values that no run can have: the 422s, with the index of the entry."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.compiling import body, entry, plan_of, refusal_of

GAPS = {"every": "10s", "for": "1s"}
SPIKE = {"label": "pod", "every": "10s", "for": "1s", "cardinality": 5}
RETRY = {"max_attempts": 3, "initial_backoff": "1s", "max_backoff": "5s"}


def unit(text: str) -> str:
    return f'unrecognized duration unit in "{text}": expected one of ms, s, m, h'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 0}, "rate must be positive, got 0"),
        ({"rate": -5}, "rate must be positive, got -5"),
        ({"rate": -0.5}, "rate must be positive, got -0.5"),
        ({"duration": "0s"}, 'invalid duration "0s": duration "0s" must be greater than zero'),
        ({"duration": "-1s"}, 'invalid duration "-1s": duration "-1s" must be positive'),
        ({"duration": "5"}, f'invalid duration "5": {unit("5")}'),
        ({"start_time": " "}, "start_time must not be empty"),
        ({"start_time": "+1w"}, f'invalid start_time offset "1w": {unit("1w")}'),
        ({"start_time": "+-1s"}, 'invalid start_time offset "-1s": duration "-1s" must be positive'),
        ({"start_time": "-0d"}, 'start_time offset "0d" must be greater than zero'),
        ({"start_time": "-xd"}, 'start_time offset "xd" has an invalid numeric part'),
        ({"start_time": "+1e9d"}, 'start_time offset "1e9d" is too large'),
        ({"start_time": "+1e400d"}, 'start_time offset "1e400d" is too large'),
        ({"start_time": "+10000000h"}, 'start_time offset "10000000h" is too large'),
        ({"backfill": "7w"}, f'invalid backfill "7w": {unit("7w")}'),
        ({"backfill": "0d"}, 'backfill "0d" must be greater than zero'),
        ({"backfill": "1e9d"}, 'backfill "1e9d" is too large'),
        (
            {"backfill": "1h", "start_time": "-1h"},
            "backfill cannot be combined with `start_time`: its history ends at the start of the run",
        ),
        (
            {"backfill": "1h", "duration": "1m", "while": {"ref": "up", "op": ">", "value": 1}},
            "backfill cannot be combined with `while`: what a gate let through in the past is not known",
        ),
        ({"gaps": GAPS | {"every": "x"}}, f'invalid gaps.every "x": {unit("x")}'),
        ({"gaps": GAPS | {"for": "0s"}}, 'invalid gaps.for "0s": duration "0s" must be greater than zero'),
        ({"gaps": GAPS | {"for": "10s"}}, 'gaps.for ("10s") must be less than gaps.every ("10s")'),
        ({"gap_windows": [{"at": "x", "for": "1s"}]}, f'invalid gap_windows[0].at "x": {unit("x")}'),
        (
            {"gap_windows": [{"at": "0", "for": "1s"}, {"at": "1s", "for": "0s"}]},
            'invalid gap_windows[1].for "0s": duration "0s" must be greater than zero',
        ),
        (
            {"gap_windows": [{"at": "-1s", "for": "1s"}]},
            'invalid gap_windows[0].at "-1s": duration "-1s" must be positive',
        ),
        ({"bursts": GAPS | {"multiplier": 0}}, "bursts.multiplier must be positive, got 0"),
        ({"bursts": GAPS | {"multiplier": -1.5}}, "bursts.multiplier must be positive, got -1.5"),
        ({"bursts": GAPS | {"multiplier": 2, "every": "x"}}, f'invalid bursts.every "x": {unit("x")}'),
        (
            {"bursts": GAPS | {"multiplier": 2, "for": "1m"}},
            'bursts.for ("1m") must be less than bursts.every ("10s")',
        ),
        (
            {"cardinality_spikes": [SPIKE, SPIKE | {"label": "a-b"}]},
            'invalid cardinality_spikes label "a-b": must match [a-zA-Z_][a-zA-Z0-9_]*',
        ),
        ({"cardinality_spikes": [SPIKE | {"every": "x"}]}, f'invalid cardinality_spikes.every "x": {unit("x")}'),
        (
            {"cardinality_spikes": [SPIKE | {"for": "11s"}]},
            'cardinality_spikes.for ("11s") must be less than cardinality_spikes.every ("10s")',
        ),
        (
            {"cardinality_spikes": [SPIKE | {"cardinality": 0}]},
            "cardinality_spikes.cardinality must be greater than zero",
        ),
        (
            {"dynamic_labels": [{"key": "a.b", "cardinality": 1}]},
            'invalid dynamic_labels key "a.b": must match [a-zA-Z_][a-zA-Z0-9_]*',
        ),
        (
            {"dynamic_labels": [{"key": "a", "cardinality": 0}]},
            'dynamic_labels[key="a"].cardinality must be greater than zero',
        ),
        ({"dynamic_labels": [{"key": "a", "values": []}]}, 'dynamic_labels[key="a"].values must not be empty'),
        ({"name": "my-name"}, 'invalid metric name "my-name": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
        ({"name": "é"}, 'invalid metric name "é": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
        ({"name": "a\n"}, 'invalid metric name "a\\n": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
        ({"name": ""}, 'invalid metric name "": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
        ({"jitter": -1}, "jitter must be non-negative"),
        ({"encoder": {"type": "json_lines", "precision": 18}}, "encoder precision must be 0..=17, got 18"),
        (
            {"sink": {"type": "tcp", "address": "h:1", "retry": RETRY | {"max_attempts": 0}}},
            "retry max_attempts must be at least 1",
        ),
        (
            {"sink": {"type": "tcp", "address": "h:1", "retry": RETRY | {"max_backoff": "500ms"}}},
            "retry max_backoff (500ms) must be >= initial_backoff (1s)",
        ),
        ({"sink": {"type": "tcp", "address": "h:1", "retry": RETRY | {"max_backoff": "x"}}}, unit("x")),
        ({"sink": {"type": "file", "path": "a\0b"}}, 'path "a\0b" holds a NUL character'),
        ({"labels": {"a-b": "x"}}, 'invalid label key "a-b": must match [a-zA-Z_][a-zA-Z0-9_]*'),
        ({"labels": {"": "x"}}, 'invalid label key "": must match [a-zA-Z_][a-zA-Z0-9_]*'),
        ({"generator": {"type": "sequence", "values": []}}, "sequence generator requires at least one value"),
        (
            {"generator": {"type": "spike", "baseline": 1, "magnitude": 1, "duration_secs": 1, "interval_secs": 0}},
            "spike generator requires interval_secs > 0",
        ),
        (
            {"generator": {"type": "spike", "baseline": 1, "magnitude": 1, "duration_secs": -1, "interval_secs": 1}},
            "spike generator requires duration_secs >= 0",
        ),
    ],
)
def test_values_that_cannot_run(fields: dict[str, object], message: str) -> None:
    """A body that compiles but cannot run is a 422 that names the entry by its index."""
    assert refusal_of(body(entry(), entry(**fields | {"id": "second"}))) == (
        422,
        f"configuration error: scenario[1]: {message}",
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rate", ".nan", "rate must be positive, got NaN"),
        ("rate", ".inf", "rate must be positive, got inf"),
        ("jitter", ".nan", "jitter must not be NaN"),
        ("jitter", "-.inf", "jitter must be finite"),
        ("bursts", "{every: 2s, for: 1s, multiplier: .nan}", "bursts.multiplier must be positive, got NaN"),
        ("bursts", "{every: 2s, for: 1s, multiplier: .inf}", "bursts.multiplier must be positive, got inf"),
        (
            "generator",
            "{type: spike, baseline: 1, magnitude: 1, duration_secs: 1, interval_secs: .nan}",
            "spike generator requires interval_secs > 0",
        ),
    ],
)
def test_special_numbers_that_cannot_run(field: str, value: str, message: str) -> None:
    """NaN and infinity are numbers of the language, but not everywhere of a run."""
    fields = {"name": "up", "rate": "1", "generator": "{type: constant, value: .nan}", field: value}
    text = "version: 2\n" + "".join(f"{key}: {written}\n" for key, written in fields.items())
    assert refusal_of(text) == (422, f"configuration error: scenario[0]: {message}")


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "NOW",
        "2026-11-24",
        "2026-11-24T10:00:00",
        "2026-11-24T10:00Z",
        "20261124T100000Z",
        "2026-11-24T10:00:00+0100",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+24:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "2026-11-24T10:00:00.Z",
        "٢٠٢٦-11-24T10:00:00Z",
    ],
)
def test_start_times_that_are_none(text: str) -> None:
    """An instant is RFC 3339 to the letter, between 1970 and 2199."""
    status, detail = refusal_of(body(entry(start_time=text)))
    assert status == 422
    assert detail.startswith(
        f'configuration error: scenario[0]: start_time "{text}" is not a valid RFC 3339 timestamp, signed offset, or '
        '"now": '
    )


def test_the_first_fault_of_the_table_wins() -> None:
    """Within an entry the order of the checks decides, across entries the order of the body."""
    faulty = entry(rate=0, duration="x", name="-", labels={"-": ""})
    assert refusal_of(body(faulty)).detail.endswith("rate must be positive, got 0")
    assert refusal_of(body(faulty | {"rate": 1})).detail.endswith(f'invalid duration "x": {unit("x")}')
    assert refusal_of(body(faulty | {"rate": 1, "duration": "1s"})).detail.startswith(
        "configuration error: scenario[0]: invalid metric name"
    )
    assert refusal_of(body(entry(jitter=-1), faulty | {"id": "b"})).detail.startswith(
        "configuration error: scenario[0]"
    )


def test_files_stay_inside_the_allowed_roots(tmp_path: Path) -> None:
    """A file path, links and dots followed, must lie under an allowed root; the remedy is named."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "loop").symlink_to(inside / "loop")

    def posted(path: str | Path) -> str:
        return body(entry(sink={"type": "file", "path": str(path)}))

    for path in (inside, inside / "new" / "file.txt", inside / "x" / ".." / "y", outside / ".." / "in" / "z"):
        assert plan_of(posted(path), allowed=(inside,))
    for path in (outside / "x", inside / "link" / "x", inside / ".." / "x", inside.parent / "in2", "/etc/passwd"):
        assert refusal_of(posted(path), allowed=(inside,)) == (
            422,
            (
                f'configuration error: scenario[0]: path "{path}" is outside the allowed roots {inside}; start '
                "the daemon with --allow-path DIR to permit another"
            ),
        )
    assert refusal_of(posted(inside / "loop" / "x"), allowed=(inside,)).status == 422
    assert plan_of(posted("/etc/passwd"))


def test_relative_files_are_seen_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is judged where the daemon would open it."""
    monkeypatch.chdir(tmp_path)
    text = body(entry(sink={"type": "file", "path": "out/x.txt"}))
    assert plan_of(text, allowed=(tmp_path,))
    assert refusal_of(text, allowed=(tmp_path / "other",)).status == 422
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("sink", "module", "extra"),
    [
        ({"type": "remote_write", "url": "http://h/w"}, "cramjam", "remote-write"),
        ({"type": "otlp_grpc", "endpoint": "http://h:1", "signal_type": "metrics"}, "grpc", "otlp"),
        ({"type": "kafka", "brokers": "h:1", "topic": "t"}, "confluent_kafka", "kafka"),
    ],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, sink: dict[str, object], module: str, extra: str
) -> None:
    """A sink that needs an extra is refused without it, and compiles with it."""
    posted = body(entry(sink=sink))
    assert plan_of(posted).entries[0].plan.sink.extra is not None
    monkeypatch.setitem(sys.modules, module, None)
    refusal = refusal_of(posted)
    assert refusal[0] == 422
    assert refusal[1].endswith(f"sink type '{sink['type']}' requires the '{extra}' feature")
