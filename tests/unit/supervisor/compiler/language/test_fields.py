"""Fields and types of a document: every fault by name and place."""

import pytest

from tests.support.compiling import FAILED, TYPED, Refusal, body, entry, plan_of, refusal_of

ENTRY_FIELDS = (
    "`id`, `signal_type`, `name`, `rate`, `duration`, `start_time`, `generator`, `log_generator`, `labels`, "
    "`dynamic_labels`, `encoder`, `sink`, `jitter`, `jitter_seed`, `gaps`, `gap_windows`, `bursts`, "
    "`cardinality_spikes`, `phase_offset`, `clock_group`, `after`, `while`, `delay`, `pack`, `overrides`, "
    "`distribution`, `buckets`, `quantiles`, `observations_per_tick`, `mean_shift_per_sec`, `seed`, `on_sink_error`, "
    "`metric_type`, `help`, `isolation`, `on_restart`, `backfill`, `split`, `digest`"
)


def typed(text: str) -> str:
    """Return the phase-1 part of the refusal of a text, without its position."""
    status, detail = refusal_of(text)
    assert status == 400
    assert detail.startswith(TYPED)
    return detail.removeprefix(TYPED).rpartition(" at line ")[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rat": 1}, f"scenarios[0]: unknown field `rat`, expected one of {ENTRY_FIELDS}"),
        (
            {"gaps": {"every": "1s", "for": "1ms", "untl": 1}},
            "scenarios[0].gaps: unknown field `untl`, expected `every` or `for`",
        ),
        (
            {"gap_windows": [{"at": "1s", "for": "1ms", "to": 1}]},
            "scenarios[0].gap_windows[0]: unknown field `to`, expected `at` or `for`",
        ),
        (
            {"bursts": {"every": "1s", "for": "1ms", "multiplier": 2, "by": 1}},
            "scenarios[0].bursts: unknown field `by`, expected one of `every`, `for`, `multiplier`",
        ),
        (
            {"cardinality_spikes": [{"label": "a", "every": "1s", "for": "1ms", "cardinality": 2, "x": 1}]},
            (
                "scenarios[0].cardinality_spikes[0]: unknown field `x`, expected one of `label`, `every`, `for`, "
                "`cardinality`, `strategy`, `prefix`, `seed`"
            ),
        ),
        (
            {"dynamic_labels": [{"key": "a", "cardinality": 2, "x": 1}]},
            (
                "scenarios[0].dynamic_labels[0]: unknown field `x`, expected one of `key`, `prefix`, `cardinality`, "
                "`values`"
            ),
        ),
        (
            {"generator": {"type": "constant", "value": 1, "valeu": 1}},
            "scenarios[0].generator: unknown field `valeu`, expected `value`",
        ),
        (
            {"generator": {"type": "csv_replay", "file": "a", "column": 1}},
            (
                "scenarios[0].generator: unknown field `column`, expected one of `file`, `columns`, `repeat`, "
                "`timescale`, `default_metric_name`"
            ),
        ),
        (
            {"generator": {"type": "csv_replay", "file": "a", "columns": [{"index": 1, "name": "a", "x": 1}]}},
            "scenarios[0].generator.columns[0]: unknown field `x`, expected one of `index`, `name`, `labels`",
        ),
        (
            {"generator": {"type": "steady", "centre": 1}},
            (
                "scenarios[0].generator: unknown field `centre`, expected one of `center`, `amplitude`, `period`, "
                "`noise`, `noise_seed`"
            ),
        ),
        (
            {"log_generator": {"type": "template", "templates": [{"message": "x", "pools": {}}]}},
            "scenarios[0].log_generator.templates[0]: unknown field `pools`, expected `message` or `field_pools`",
        ),
        (
            {"log_generator": {"type": "csv_replay", "file": "a", "columns": {"level": "x"}}},
            (
                "scenarios[0].log_generator.columns: unknown field `level`, expected one of `timestamp`, `severity`, "
                "`message`"
            ),
        ),
        (
            {"distribution": {"type": "normal", "mean": 1, "stddev": 1, "mode": 1}},
            "scenarios[0].distribution: unknown field `mode`, expected `mean` or `stddev`",
        ),
        (
            {"encoder": {"type": "prometheus_text", "precison": 1}},
            "scenarios[0].encoder: unknown field `precison`, expected `precision`",
        ),
        ({"encoder": {"type": "remote_write", "x": 1}}, "scenarios[0].encoder: unknown field `x`, there are no fields"),
        ({"sink": {"type": "stdout", "path": "x"}}, "scenarios[0].sink: unknown field `path`, there are no fields"),
        (
            {
                "sink": {
                    "type": "tcp",
                    "address": "a:1",
                    "retry": {"max_attempts": 1, "initial_backoff": "1s", "max": 1},
                }
            },
            "scenarios[0].sink.retry: missing field `max_backoff`",
        ),
        (
            {"sink": {"type": "kafka", "brokers": "a", "topic": "b", "tls": {"enable": True}}},
            (
                "scenarios[0].sink.tls: unknown field `enable`, expected one of `enabled`, `ca_cert`, `client_cert`, "
                "`client_key`"
            ),
        ),
        (
            {"sink": {"type": "kafka", "brokers": "a", "topic": "b", "sasl": {"mechanism": "PLAIN", "username": "x"}}},
            "scenarios[0].sink.sasl: missing field `password`",
        ),
        (
            {"after": {"ref": "a", "op": ">", "value": 1, "for": "1s"}},
            "scenarios[0].after: unknown field `for`, expected one of `ref`, `op`, `value`, `delay`",
        ),
        (
            {"while": {"ref": "a", "op": ">", "value": 1, "for": "1s"}},
            (
                "scenarios[0].while: unknown field `for`, expected one of `ref`, `op`, `value`, `scenario_name`, "
                "`if_unresolved`"
            ),
        ),
        ({"delay": {"opne": "1s"}}, "scenarios[0].delay: unknown field `opne`, expected `open` or `close`"),
        (
            {"delay": {"close": {"snap": 1}}},
            "scenarios[0].delay.close: unknown field `snap`, expected one of `duration`, `snap_to`, `stale_marker`",
        ),
        (
            {"overrides": {"m": {"rate": 1}}},
            (
                "scenarios[0].overrides.m: unknown field `rate`, expected one of `generator`, `labels`, `after`, "
                "`while`, `delay`"
            ),
        ),
    ],
)
def test_unknown_fields_are_refused_at_any_depth(fields: dict[str, object], message: str) -> None:
    """A key that the language does not have is refused with the keys it has there."""
    assert typed(body(entry(**fields))) == message


def test_unknown_fields_of_the_other_levels() -> None:
    """The top level, `defaults`, the flat form and `expect` refuse unknown keys too."""
    assert typed(body(entry(), duration="1s")) == (
        "unknown field `duration`, expected one of `version`, `kind`, `tags`, `scenario_name`, `category`, "
        "`description`, `defaults`, `scenarios`, `expect`"
    )
    assert typed(body(entry(), defaults={"name": "x"})) == (
        "defaults: unknown field `name`, expected one of `rate`, `duration`, `start_time`, `encoder`, `sink`, "
        "`labels`, `on_sink_error`, `while`, `delay`, `isolation`, `on_restart`, `backfill`, `split`, `digest`"
    )
    assert typed(body(entry(), expect={"alerts": [{"alert": "a", "firing_within": "1s", "x": 1}]})) == (
        "expect.alerts[0]: unknown field `x`, expected one of `alert`, `labels`, `firing_within`, `resolves_within`"
    )
    flat = "version: 2\nname: up\nrate: 1\ngenerator: {type: constant, value: 1}\n"
    for name in ("defaults: {}", "scenario_name: x", "category: x", "description: x", "scenarios: null"):
        assert typed(flat + name).startswith(f"unknown field `{name.partition(':')[0]}`, expected one of ")


def test_one_unknown_field_has_its_position() -> None:
    """Line and column are those of the key in the text that was sent."""
    text = "version: 2\nscenarios:\n  - signal_type: metrics\n    sink: {type: stdout,\n      colour: red}\n"
    assert refusal_of(text) == (
        400,
        f"{TYPED}scenarios[0].sink: unknown field `colour`, there are no fields at line 5 column 7",
    )


def test_several_unknown_fields_are_reported_together() -> None:
    """Unknown keys all over the body are listed in text order with path and position."""
    text = (
        "version: 2\nscenarios:\n- signal_type: metrics\n  nmae: x\n  gaps: {every: 1s, for: 1ms, untl: 1}\n"
        "- signal_type: metrics\n  sink: {type: stdout, colour: red}\nextra: 1\n"
    )
    assert refusal_of(text) == (
        400,
        (
            f"{FAILED}parse error: unknown fields in scenario file: scenarios[0].nmae at line 4 column 3, "
            "scenarios[0].gaps.untl at line 5 column 31, scenarios[1].sink.colour at line 7 column 24, "
            "extra at line 8 column 1"
        ),
    )


def test_at_most_twenty_unknown_fields_are_listed() -> None:
    """The rest is counted."""
    detail = refusal_of(body(entry(**{f"x{n}": 1 for n in range(25)}))).detail
    assert detail.count("scenarios[0].x") == 20
    assert detail.endswith("scenarios[0].x19 at line 1 column 322, … and 5 more")


def test_another_fault_wins_over_unknown_fields() -> None:
    """The first fault that is no unknown key is the one reported, wherever the unknown ones stand."""
    assert (
        typed(body(entry(unknown=1, rate="x", other=2))) == 'scenarios[0].rate: invalid type: string "x", expected f64'
    )
    assert typed("version: 2\nscenarios:\n- foo: 1\n") == "scenarios[0]: missing field `signal_type`"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signal_type": None}, "missing field `signal_type`"),
        ({"generator": {"value": 1}}, ".generator: missing field `type`"),
        ({"generator": {"type": "sine", "amplitude": 1}}, ".generator: missing field `period_secs`"),
        ({"generator": {"type": "uniform", "min": 1}}, ".generator: missing field `max`"),
        ({"sink": {"type": "file"}}, ".sink: missing field `path`"),
        ({"sink": {"type": "http_push"}}, ".sink: missing field `url`"),
        ({"gap_windows": [{"at": "1s"}]}, ".gap_windows[0]: missing field `for`"),
        ({"dynamic_labels": [{"cardinality": 1}]}, ".dynamic_labels[0]: missing field `key`"),
        ({"after": {"op": ">", "value": 1}}, ".after: missing field `ref`"),
        (
            {"generator": {"type": "sin"}},
            (
                ".generator: unknown variant `sin`, expected one of `constant`, `uniform`, `sine`, `sawtooth`, "
                "`sequence`, `spike`, `step`, `csv_replay`, `flap`, `saturation`, `leak`, `degradation`, "
                "`steady`, `spike_event`"
            ),
        ),
        (
            {"log_generator": {"type": "replay"}},
            ".log_generator: unknown variant `replay`, expected `template` or `csv_replay`",
        ),
        (
            {"distribution": {"type": "pareto"}},
            ".distribution: unknown variant `pareto`, expected one of `exponential`, `normal`, `uniform`",
        ),
        (
            {"encoder": {"type": "json"}},
            (
                ".encoder: unknown variant `json`, expected one of `prometheus_text`, `influx_lp`, `json_lines`, "
                "`syslog`, `remote_write`, `otlp`, `gnmi`, `snmp`"
            ),
        ),
        (
            {"sink": {"type": "Stdout"}},
            (
                ".sink: unknown variant `Stdout`, expected one of `stdout`, `file`, `tcp`, `udp`, `memory`, "
                "`http_push`, `remote_write`, `kafka`, `loki`, `otlp_grpc`, `otlp_http`, `gnmi_target`, `snmp_agent`, "
                "`snmp_trap`"
            ),
        ),
        ({"sink": {"type": 5}}, ".sink: invalid type: integer `5`, expected a string"),
        (
            {"sink": {"type": "remote_write", "url": "http://h", "protocol_version": "3.0"}},
            ".sink.protocol_version: unknown variant `3.0`, expected `1.0` or `2.0`",
        ),
        (
            {"sink": {"type": "remote_write", "url": "http://h", "protocol_version": 2.0}},
            ".sink.protocol_version: invalid type: floating point `2.0`, expected a string",
        ),
        ({"on_sink_error": "stop"}, ".on_sink_error: unknown variant `stop`, expected `warn` or `fail`"),
        (
            {"metric_type": "Gauge"},
            (
                ".metric_type: unknown variant `Gauge`, expected one of `gauge`, `counter`, `histogram`, `summary`, "
                "`untyped`"
            ),
        ),
        (
            {"cardinality_spikes": [{"label": "a", "every": "2s", "for": "1s", "cardinality": 1, "strategy": "x"}]},
            ".cardinality_spikes[0].strategy: unknown variant `x`, expected `counter` or `random`",
        ),
        (
            {"generator": {"type": "flap", "enum": "bool"}},
            (
                ".generator.enum: unknown variant `bool`, expected one of `boolean`, `link_state`, `oper_state`, "
                "`admin_state`, `neighbor_state`"
            ),
        ),
        ({"after": {"ref": "a", "op": "==", "value": 1}}, ".after.op: unknown variant `==`, expected `<` or `>`"),
        (
            {"while": {"ref": "a", "op": "<", "value": 1, "if_unresolved": "shut"}},
            ".while.if_unresolved: unknown variant `shut`, expected one of `open`, `closed`, `pending`",
        ),
        ({"rate": True}, ".rate: invalid type: boolean `true`, expected f64"),
        ({"rate": [1]}, ".rate: invalid type: sequence, expected f64"),
        ({"name": [1]}, ".name: invalid type: sequence, expected a string"),
        ({"name": {"a": 1}}, ".name: invalid type: map, expected a string"),
        ({"labels": [1]}, ".labels: invalid type: sequence, expected a map"),
        ({"labels": {"a": {"b": 1}}}, ".labels.a: invalid type: map, expected a string"),
        ({"gaps": "1s"}, '.gaps: invalid type: string "1s", expected a map'),
        ({"gap_windows": {"at": 1}}, ".gap_windows: invalid type: map, expected a sequence"),
        ({"dynamic_labels": 5}, ".dynamic_labels: invalid type: integer `5`, expected a sequence"),
        ({"sink": "stdout"}, '.sink: invalid type: string "stdout", expected internally tagged enum SinkConfig'),
        ({"sink": ["stdout"]}, ".sink: invalid type: sequence, expected internally tagged enum SinkConfig"),
        ({"generator": 1}, ".generator: invalid type: integer `1`, expected internally tagged enum GeneratorConfig"),
        (
            {"log_generator": 1.5},
            ".log_generator: invalid type: floating point `1.5`, expected internally tagged enum LogGeneratorConfig",
        ),
        (
            {"encoder": False},
            ".encoder: invalid type: boolean `false`, expected internally tagged enum EncoderConfig",
        ),
        (
            {"distribution": "x"},
            '.distribution: invalid type: string "x", expected internally tagged enum DistributionConfig',
        ),
        (
            {"encoder": {"type": "json_lines", "precision": 256}},
            ".encoder.precision: invalid value: integer `256`, expected u8",
        ),
        (
            {"encoder": {"type": "json_lines", "precision": -1}},
            ".encoder.precision: invalid value: integer `-1`, expected u8",
        ),
        (
            {"encoder": {"type": "json_lines", "precision": 2.0}},
            ".encoder.precision: invalid type: floating point `2.0`, expected u8",
        ),
        ({"observations_per_tick": 1.5}, ".observations_per_tick: invalid type: floating point `1.5`, expected u32"),
        (
            {"observations_per_tick": 4294967296},
            ".observations_per_tick: invalid value: integer `4294967296`, expected u32",
        ),
        ({"jitter_seed": 2**64}, f".jitter_seed: invalid value: integer `{2**64}`, expected u64"),
        (
            {"generator": {"type": "sequence", "values": [1, "2"]}},
            '.generator.values[1]: invalid type: string "2", expected f64',
        ),
        (
            {"generator": {"type": "sequence", "values": 1}},
            ".generator.values: invalid type: integer `1`, expected a sequence",
        ),
        (
            {"generator": {"type": "csv_replay", "file": "a", "columns": [{"index": 1.0, "name": "a"}]}},
            ".generator.columns[0].index: invalid type: floating point `1.0`, expected u64",
        ),
        (
            {"log_generator": {"type": "template", "templates": [{"message": "x", "field_pools": {"a": [200]}}]}},
            ".log_generator.templates[0].field_pools.a[0]: invalid type: integer `200`, expected a string",
        ),
        (
            {"log_generator": {"type": "template", "templates": [{"message": "x", "field_pools": None}]}},
            ".log_generator.templates[0].field_pools: invalid type: unit value, expected a map",
        ),
        (
            {"sink": {"type": "http_push", "url": "http://h", "headers": {"a": 1}}},
            ".sink.headers.a: invalid type: integer, expected a string",
        ),
        ({"delay": {"close": 0}}, ".delay.close: invalid type: integer `0`, expected a string"),
        (
            {"delay": {"close": "5x"}},
            '.delay: configuration error: unrecognized duration unit in "5x": expected one of ms, s, m, h',
        ),
        (
            {"delay": {"open": "-1s"}},
            '.delay: configuration error: duration "-1s" must be positive',
        ),
        (
            {"delay": {"close": {"duration": "x"}}},
            '.delay: configuration error: unrecognized duration unit in "x": expected one of ms, s, m, h',
        ),
        (
            {"delay": {"close": {"stale_marker": 1}}},
            ".delay.close.stale_marker: invalid type: integer `1`, expected a boolean",
        ),
        *[
            (
                {"dynamic_labels": [{"key": "k"} | strategy]},
                ".dynamic_labels[0]: data did not match any variant of untagged enum DynamicLabelStrategy",
            )
            for strategy in (
                {},
                {"prefix": "a"},
                {"cardinality": "5"},
                {"cardinality": -1},
                {"cardinality": 5, "prefix": 1},
                {"values": [1]},
                {"values": "a"},
            )
        ],
    ],
)
def test_types_are_checked_by_name(fields: dict[str, object], message: str) -> None:
    """A missing field, a wrong type and a word outside its list are refused with what was found and expected."""
    separator = "" if message.startswith(".") else ": "
    assert typed(body(entry() | fields if "signal_type" not in fields else entry(**fields))) == (
        f"scenarios[0]{separator}{message}"
    )


@pytest.mark.parametrize("strategy", [{"values": ["a"], "cardinality": "x"}, {"cardinality": 3, "values": None}])
def test_what_a_dynamic_label_does_not_need_is_ignored(strategy: dict[str, object]) -> None:
    """With `values` the counter's fields do not matter, whatever they hold."""
    assert plan_of(body(entry(dynamic_labels=[{"key": "k"} | strategy]))).entries[0].plan.dynamic_labels


@pytest.mark.parametrize("op", ["<=", "==", "!=", ">=", "gt"])
def test_gates_compare_strictly(op: str) -> None:
    """Another operator of a gate is the one type fault that is a 422."""
    status, detail = refusal_of(body(entry(while_={"ref": "a", "op": op, "value": 1}, duration="1s")))
    assert status == 422
    assert detail.startswith(
        f"{TYPED}scenarios[0].while: unsupported operator '{op}' on while: — only strict comparisons '<' and '>' are "
        "accepted at line 1 column "
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios: 5", "scenarios: invalid type: integer `5`, expected a sequence"),
        ("scenarios: {a: 1}", "scenarios: invalid type: map, expected a sequence"),
        ("scenarios: [5]", "scenarios[0]: invalid type: integer `5`, expected a map"),
        ("scenarios: [{? [a] : b}]", "scenarios[0]: invalid type: sequence, expected a string"),
        ("kind: [a]\nscenarios: [{}]", "kind: invalid type: sequence, expected a string"),
        ("tags: null\nscenarios: [{}]", "tags: invalid type: unit value, expected a sequence"),
        ("tags: {}\nscenarios: [{}]", "tags: invalid type: map, expected a sequence"),
    ],
)
def test_shapes_of_the_top_level(text: str, message: str) -> None:
    """What stands at the top level is typed too."""
    assert typed(f"version: 2\n{text}\n") == message


def test_empty_values_are_absent_ones() -> None:
    """A key with nothing behind it, or null, is as good as none; an empty `tags` is an empty list."""
    text = (
        "version: 2\nkind:\ntags:\ndefaults:\nexpect: ~\nscenarios:\n- signal_type: metrics\n  name: up\n  rate: 1\n"
        "  generator: {type: step, step_size: 1, max: ~, start: null}\n  labels:\n  sink:\n  gaps: null\n"
        "  dynamic_labels:\n  on_sink_error: ~\n  id: ~\n  help:\n"
    )
    config = plan_of(text).entries[0].config
    assert config["labels"] == {}
    assert not {"id", "gaps", "dynamic_labels", "on_sink_error", "help"} & set(config)


@pytest.mark.parametrize(
    ("fields", "path", "limit"),
    [
        ({"labels": {f"l{n}": "x" for n in range(129)}}, "labels", 128),
        ({"dynamic_labels": [{"key": "k", "cardinality": 1}] * 33}, "dynamic_labels", 32),
        ({"cardinality_spikes": [{}] * 33}, "cardinality_spikes", 32),
        ({"gap_windows": [{"at": "1s", "for": "1s"}] * 10_001}, "gap_windows", 10_000),
        ({"buckets": [1] * 1_001}, "buckets", 1_000),
        ({"quantiles": [1] * 1_001}, "quantiles", 1_000),
        ({"log_generator": {"type": "template", "templates": [{}] * 1_001}}, "log_generator.templates", 1_000),
    ],
)
def test_lists_are_bounded(fields: dict[str, object], path: str, limit: int) -> None:
    """A body cannot fill the machine: every list and map has a bound."""
    assert typed(body(entry(**fields))) == f"scenarios[0].{path}: invalid length {limit + 1}, expected at most {limit}"


def test_dynamic_values_are_bounded() -> None:
    """A label rotates over at most a hundred thousand listed values."""
    values = [{"key": "k", "values": ["a"] * 100_001}]
    assert isinstance(refusal_of(body(entry(dynamic_labels=values))), Refusal)


def test_entries_are_bounded() -> None:
    """A body launches at most 512 scenarios."""
    assert typed(body(*[entry()] * 513)) == "scenarios: invalid length 513, expected at most 512"


def test_label_texts_are_bounded() -> None:
    """Name and labels of an entry, which stand in every line, have a bound in bytes, defaults included."""
    status, detail = refusal_of(body(entry(labels={"a": "é" * 20_000}), defaults={"labels": {"b": "x" * 30_000}}))
    assert status == 400
    assert detail == (
        f"{FAILED}prepare error: entry 0 (up): name and labels take 70004 bytes, at most 65536 are accepted"
    )


def test_quoted_texts_are_clipped() -> None:
    """However long the offending text, the answer stays short."""
    for fields in (
        {"rate": "x" * 100_000},
        {"x" * 100_000: 1},
        {"sink": {"type": "x" * 100_000}},
        {"id": "-" * 99_999},
    ):
        assert len(refusal_of(body(entry(**fields))).detail) < 2_000
