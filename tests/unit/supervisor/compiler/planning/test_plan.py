"""What a body becomes: plans, the view of clients, warnings."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.errors import CompileError
from common.plan import Burst, Cycle, EntryPlan, FileAccess, LabelSpike, RotatingLabel, Silence
from common.units import LONGEST_NS
from supervisor.compiler import BodyFormat, Context, PackSources, compile_scenario, prepare
from supervisor.intake.preflight import host_of, warnings
from tests.support.compiling import body, entry, plan_of, refusal_of

SECOND = 10**9
DAY = 86_400 * SECOND
GOLDEN = Path(__file__).parents[4] / "golden" / "peer-1.29.jsonl"


def planned(**fields: Any) -> EntryPlan:
    return plan_of(body(entry(**fields))).entries[0].plan


def shown(**fields: Any) -> dict[str, Any]:
    return plan_of(body(entry(**fields))).entries[0].config


def test_a_plan_resolves_everything() -> None:
    """Durations are nanoseconds, labels sorted, prefixes and cardinalities filled in."""
    plan = planned(
        duration="1.5s",
        phase_offset="250ms",
        jitter=0.5,
        jitter_seed=7,
        labels={"b": "2", "a": "1", "Z": "0"},
        dynamic_labels=[
            {"key": "host", "cardinality": 3},
            {"key": "pod", "prefix": "", "cardinality": 2},
            {"key": "zone", "values": ["a", "b"], "cardinality": 9},
        ],
        cardinality_spikes=[
            {"label": "s", "every": "10s", "for": "1s", "cardinality": 5},
            {
                "label": "r",
                "every": "1m",
                "for": "2s",
                "cardinality": 6,
                "strategy": "random",
                "prefix": "x",
                "seed": 9,
            },
        ],
        gaps={"every": "10s", "for": "2s"},
        gap_windows=[{"at": "0", "for": "1s"}, {"at": "500ms", "for": "1s"}],
        bursts={"every": "5s", "for": "1s", "multiplier": 0.5},
        on_sink_error="fail",
    )
    assert plan.duration_ns == 3 * SECOND // 2
    assert plan.phase_offset_ns == SECOND // 4
    assert (plan.jitter, plan.jitter_seed) == (0.5, 7)
    assert list(plan.labels.items()) == [("Z", "0"), ("a", "1"), ("b", "2")]
    assert plan.dynamic_labels == (
        RotatingLabel(key="host", cardinality=3, prefix="host_"),
        RotatingLabel(key="pod", cardinality=2, prefix=""),
        RotatingLabel(key="zone", cardinality=2, prefix="zone_", values=("a", "b")),
    )
    assert plan.cardinality_spikes == (
        LabelSpike(
            key="s",
            cycle=Cycle(every_ns=10 * SECOND, for_ns=SECOND),
            cardinality=5,
            prefix="s_",
            strategy="counter",
            seed=0,
        ),
        LabelSpike(
            key="r",
            cycle=Cycle(every_ns=60 * SECOND, for_ns=2 * SECOND),
            cardinality=6,
            prefix="x",
            strategy="random",
            seed=9,
        ),
    )
    assert plan.gaps == Cycle(every_ns=10 * SECOND, for_ns=2 * SECOND)
    assert plan.gap_windows == (
        Silence(start_ns=0, end_ns=SECOND),
        Silence(start_ns=SECOND // 2, end_ns=3 * SECOND // 2),
    )
    assert plan.bursts == Burst(cycle=Cycle(every_ns=5 * SECOND, for_ns=SECOND), multiplier=0.5)
    assert plan.on_sink_error == "fail"


def test_a_minimal_entry() -> None:
    """What is not written has its default."""
    plan = planned(id=None)
    assert (plan.id, plan.duration_ns, plan.phase_offset_ns, plan.on_sink_error) == (None, None, 0, "warn")
    assert (plan.gaps, plan.bursts, plan.gap_windows, plan.dynamic_labels) == (None, None, (), ())
    assert (plan.anchor_ns, plan.shift_ns) == (None, 0)


@pytest.mark.parametrize(("rate", "gathering_ns"), [(5e-324, 0), (1e-9, 0), (1e15, 10**6), (1.7e308, 10**6)])
def test_any_rate_can_be_planned(rate: float, gathering_ns: int) -> None:
    """Also one that a float has and no machine reaches."""
    assert planned(rate=rate).gathering_ns == gathering_ns


def test_plans_travel_as_msgpack() -> None:
    """A worker decodes exactly the plan that was compiled, widest seeds and special numbers included."""
    plan = planned(
        jitter_seed=2**64 - 1,
        generator={"type": "uniform", "min": 0, "max": 1e308, "seed": 2**64 - 1},
        duration="1e12h",
        cardinality_spikes=[{"label": "s", "every": "1e9h", "for": "1e8h", "cardinality": 2**64 - 1}],
        gaps={"every": "1e9h", "for": "1e8h"},
        gap_windows=[{"at": "1e12h", "for": "1e12h"}],
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=EntryPlan) == plan


def test_endless_lengths_keep_their_meaning() -> None:
    """Lengths beyond 146 years are cut so that 64 bits hold them, and a gap still begins where it did."""
    plan = planned(
        duration="1e12h",
        gaps={"every": "9e9s", "for": "8999999999s"},
        bursts={"every": "9e9s", "for": "8e9s", "multiplier": 2},
    )
    assert plan.duration_ns == LONGEST_NS
    assert plan.gaps is not None
    assert plan.bursts is not None
    assert plan.gaps.every_ns - plan.gaps.for_ns == SECOND
    for cycle in (plan.gaps, plan.bursts.cycle):
        assert 0 < cycle.for_ns < cycle.every_ns <= LONGEST_NS


def test_windows_shorter_than_a_microsecond_are_none() -> None:
    """What truncates to nothing never opens."""
    window = {"every": "1s", "for": "0.0001ms"}
    plan = planned(
        gaps=window, bursts=window | {"multiplier": 2}, cardinality_spikes=[window | {"label": "a", "cardinality": 1}]
    )
    assert (plan.gaps, plan.bursts, plan.cardinality_spikes) == (None, None, ())


@pytest.mark.parametrize(
    ("written", "rewritten", "nanoseconds"),
    [
        ("0s", "0s", 0),
        ("0ms", "0ms", 0),
        ("0.4ms", "0s", 0),
        ("0.5ms", "0.001s", SECOND // 1000),
        ("120s", "2m", 120 * SECOND),
        ("7200s", "2h", 7200 * SECOND),
        ("90s", "90s", 90 * SECOND),
        ("1.0005s", "1.001s", 1_000_999_000),
        ("2.5ms", "0.003s", 3_000_000),
        ("1.5m", "90s", 90 * SECOND),
    ],
)
def test_phase_offsets_are_whole_milliseconds(written: str, rewritten: str, nanoseconds: int) -> None:
    """An offset is rounded half up to milliseconds and shown in its largest whole unit; zero means none."""
    assert shown(phase_offset=written)["phase_offset"] == rewritten
    assert planned(phase_offset=written).phase_offset_ns == nanoseconds


@pytest.mark.parametrize(
    ("written", "anchor_ns", "shift_ns"),
    [
        ("now", None, 0),
        (" now ", None, 0),
        ("+1.5s", None, 3 * SECOND // 2),
        ("-2h", None, -7200 * SECOND),
        ("-0.5d", None, -DAY // 2),
        ("+365d", None, 365 * DAY),
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1970-01-02T00:00:00.000000001Z", DAY + 1, 0),
        ("1970-01-01 01:00:00+01:00", 0, 0),
        ("1970-01-01t00:00:00-23:59", DAY - 60 * SECOND, 0),
        ("2026-05-08T14:00:00z", 1_778_248_800 * SECOND, 0),
        ("2026-05-08T14:00:00.1234567891Z", 1_778_248_800 * SECOND + 123_456_789, 0),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND, 0),
    ],
)
def test_start_times(written: str, anchor_ns: int | None, shift_ns: int) -> None:
    """A start time is now, an offset from now, or an instant to the nanosecond."""
    plan = planned(start_time=written)
    assert (plan.anchor_ns, plan.shift_ns) == (anchor_ns, shift_ns)


def test_unquoted_start_times_stay_texts() -> None:
    """YAML's own idea of timestamps is not applied."""
    text = "version: 2\nname: a\nrate: 1\nstart_time: 2026-05-08T14:00:00Z\ngenerator: {type: constant, value: 1}\n"
    assert plan_of(text).entries[0].plan.anchor_ns == 1_778_248_800 * SECOND


def test_clock_groups_are_labels() -> None:
    """The group is kept for display; an empty one counts as absent."""
    plan = plan_of(body(entry(clock_group="g"), entry(id="b", clock_group="")))
    assert [one.clock_group for one in plan.entries] == ["g", None]


def test_clients_see_the_entry_as_written() -> None:
    """The view has the file's key names, always the main fields, others only when set, and floats for floats."""
    config = shown(
        duration=None,
        gaps={"every": "10s", "for": "1s"},
        generator={"type": "step", "step_size": 2, "max": 10},
        metric_type="counter",
        help="h",
    )
    assert json.loads(json.dumps(config)) == {
        "signal_type": "metrics",
        "name": "up",
        "rate": 10.0,
        "duration": None,
        "labels": {},
        "encoder": {"type": "prometheus_text"},
        "sink": {"type": "stdout"},
        "generator": {"type": "step", "step_size": 2.0, "max": 10.0},
        "id": "up",
        "gaps": {"every": "10s", "for": "1s"},
        "metric_type": "counter",
        "help": "h",
    }
    assert isinstance(config["rate"], float)
    named = plan_of(body(entry(), scenario_name="core"))
    assert named.scenario_name == "core"
    assert named.entries[0].config["scenario_name"] == "core"


def test_secrets_are_masked() -> None:
    """What an address, a header or a login holds is shown neither to clients nor in warnings."""
    url = "http://u:p4ss@localhost:1/x?token=s3cret"
    sink = {"type": "http_push", "url": url, "headers": {"apikey": "s3cret", "Content-Type": "text/plain"}}
    plan = plan_of(body(entry(sink=sink)))
    shown = plan.entries[0].config["sink"]
    assert shown["url"] == "http://***@localhost:1/x?token=***"
    assert shown["headers"] == {"apikey": "***", "Content-Type": "text/plain"}
    (warning,) = warnings(plan)
    assert "p4ss" not in warning
    assert "s3cret" not in warning
    assert plan.entries[0].plan.sink.addresses == (url,)


@pytest.mark.parametrize(
    ("sink", "path", "told"),
    [
        ({"type": "tcp", "address": "h"}, "address", "invalid tcp address 'h': it has no port; expected host:port"),
        ({"type": "tcp", "address": "h:99999"}, "address", "its port is not a number from 1 to 65535"),
        ({"type": "udp", "address": ":9"}, "address", "invalid udp address ':9': it has no host"),
        ({"type": "tcp", "address": f"{'a' * 300}:1"}, "address", "its host is no host name"),
        ({"type": "tcp", "address": "tcp://u:p4ss@h:1"}, "address", "invalid tcp address 'tcp://***@h:1'"),
        ({"type": "http_push", "url": "http://h:99999/"}, "url", "invalid HTTP push URL 'http://h:99999/': its port"),
        ({"type": "loki", "url": "http://"}, "url", "invalid Loki URL 'http://': it has no host"),
        ({"type": "http_push", "url": "ftp://u:p4ss@h?k=s3cret"}, "url", "'ftp://***@h?k=***': must start with http"),
    ],
)
def test_addresses_that_can_never_be_reached_are_refused(sink: dict[str, Any], path: str, told: str) -> None:
    """At the POST, with a reason, and without telling a secret."""
    with pytest.raises(CompileError) as caught:
        plan_of(body(entry(sink=sink)))
    (fault,) = caught.value.faults
    assert caught.value.status == 422
    assert fault.path == f"scenarios[0].sink.{path}"
    assert told in fault.message
    assert "p4ss" not in f"{caught.value.faults}{caught.value}"
    assert "s3cret" not in f"{caught.value.faults}{caught.value}"


KAFKA: dict[str, Any] = {"type": "kafka", "brokers": "h:1", "topic": "t"}


@pytest.mark.parametrize(
    ("fields", "path", "told"),
    [
        ({"brokers": " , "}, "brokers", "kafka sink: no valid broker addresses in ' , '"),
        ({"brokers": "h:1,g"}, "brokers", "kafka sink: failed to connect to broker(s) 'h:1,g': invalid socket address"),
        ({"brokers": "kafka://u:p4ss@h:1"}, "brokers", "failed to connect to broker(s) 'kafka://***@h:1': invalid"),
        ({"topic": "a\0b"}, "topic", "kafka sink: topic holds a NUL character"),
        ({"key": "host"}, "key", "kafka sink: key needs records: event"),
        ({"headers": {"a": "s3cret"}}, "headers", "kafka sink: headers needs records: event"),
        ({"records": "event", "key": "hots"}, "key", "kafka sink: key 'hots' is no label of this entry"),
        (
            {"sasl": {"mechanism": "plain", "username": "u", "password": "p4ss"}},
            "sasl.mechanism",
            "unsupported SASL mechanism: 'plain' (expected PLAIN, SCRAM-SHA-256, or SCRAM-SHA-512)",
        ),
        ({"tls": {"enabled": True, "ca_cert": "/etc/ca.pem"}}, "tls.ca_cert", "outside the allowed"),
        ({"tls": {"enabled": True, "client_cert": "c"}}, "tls", "kafka sink: client_key is missing"),
    ],
)
def test_what_no_kafka_takes_is_refused(tmp_path: Path, fields: dict[str, Any], path: str, told: str) -> None:
    """At the POST, with the field, and without telling a secret; a label of any kind can be the key."""
    with pytest.raises(CompileError) as caught:
        plan_of(body(entry(sink=KAFKA | fields, labels={"host": "a"})), allowed=(tmp_path,))
    assert caught.value.status == 422
    assert caught.value.faults[0].path == f"scenarios[0].sink.{path}"
    assert told in caught.value.faults[0].message
    assert "p4ss" not in f"{caught.value.faults}{caught.value}"
    assert "s3cret" not in f"{caught.value.faults}{caught.value}"


def test_every_broker_on_the_loopback_is_warned_about() -> None:
    """One by one, as it is written; secrets of the sink are masked."""
    sasl = {"mechanism": "PLAIN", "username": "u", "password": "p4ss"}
    sink = KAFKA | {"brokers": " localhost:9092,kafka:9092, 127.0.0.1:9093,", "sasl": sasl}
    sink |= {"records": "event", "headers": {"token": "s3cret"}, "key": "pod"}
    plan = plan_of(body(entry(sink=sink, dynamic_labels=[{"key": "pod", "prefix": "p", "cardinality": 2}])))
    told = warnings(plan)
    assert ["`localhost:9092`" in told[0], "`127.0.0.1:9093`" in told[1], len(told)] == [True, True, 2]
    assert "sink `kafka` targets" in told[0]
    shown = plan.entries[0].config["sink"]
    assert shown["sasl"] == {"mechanism": "PLAIN", "username": "u", "password": "***"}
    assert shown["headers"] == {"token": "***"}


def test_names_of_logs_hold_no_nul() -> None:
    """Titles of processes end there."""
    logs = {"signal_type": "logs", "generator": None, "log_generator": {"type": "template", "templates": []}}
    refusal = refusal_of(body(entry(name="a\0b", **logs)))
    assert refusal == (422, 'configuration error: scenario[0]: invalid name "a\0b": it holds a NUL character')


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("localhost:80", "localhost"),
        (" 127.0.0.1:80 ", "127.0.0.1"),
        ("http://[::1]:80/x", "::1"),
        ("[::1", ""),
        ("http://user:pw@localhost/x@y", "localhost"),
        ("LOCALHOST", "LOCALHOST"),
        ("http://h?x=http://localhost", "h"),
        ("http://h#localhost", "h"),
        ("", ""),
        ("http://", ""),
        ("a:b:80", "a:b"),
        ("localhost.", "localhost."),
    ],
)
def test_hosts_of_targets(target: str, host: str) -> None:
    """A host is cut out of a URL or an address by text alone."""
    assert host_of(target) == host


def test_entries_that_write_to_one_file_are_warned_about(tmp_path: Path) -> None:
    """Within a body and with what is active already, whatever path leads there."""
    (tmp_path / "link").symlink_to(tmp_path)

    def to(path: str, name: str) -> dict[str, Any]:
        return entry(id=name, name=name, sink={"type": "file", "path": f"{tmp_path}/{path}"})

    plan = plan_of(body(to("a", "first"), to("link/a", "second"), to("b", "third")))
    (text,) = warnings(plan)
    assert text == (
        f"scenario entries 'first' and 'second' write to the same file \"{tmp_path}/link/a\"; each of them "
        "truncates it when it starts"
    )
    later = plan_of(body(to("b", "fourth")))
    (text,) = warnings(later, [one.plan for one in plan.entries])
    assert "'third' and 'fourth'" in text


@pytest.mark.parametrize("text", ["0 s", " 0s", "0s ", "1 s", " 1s"])
def test_durations_hold_no_blanks_in_any_field(text: str) -> None:
    """Zero is written like any other number of seconds."""
    waits = entry(id="b", name="b", duration="1s", while_={"ref": "up", "op": ">", "value": 1})
    for fields in ({"delay": {"open": text}}, {"delay": {"close": text}}, {"delay": {"close": {"duration": text}}}):
        assert refusal_of(body(entry(), waits | fields)).status == 400
    assert refusal_of(body(entry(gap_windows=[{"at": text, "for": "1s"}]))).status == 422
    assert refusal_of(body(entry(phase_offset=text))).status == 400
    push = {"type": "http_push", "url": "http://h", "max_buffer_age": text}
    assert refusal_of(body(entry(sink=push))).status == 422


def test_loopback_destinations_are_warned_about() -> None:
    """A destination on the daemon's own loopback gives a warning, word for word, in entry order."""
    sinks = [
        {"type": "tcp", "address": "localhost:9"},
        {"type": "udp", "address": "LocalHost:9"},
        {"type": "udp", "address": "[::1]:9"},
        {"type": "tcp", "address": "127.0.0.2:9"},
        {"type": "tcp", "address": "0.0.0.0:9"},
        {"type": "stdout"},
        {"type": "file", "path": "localhost"},
    ]
    plan = plan_of(body(*[entry(id=f"e{n}", name=f"n{n}", sink=sink) for n, sink in enumerate(sinks)]))
    texts = warnings(plan)
    assert texts[0] == (
        "scenario entry 'n0' sink `tcp` targets `localhost:9` — this host resolves to the sonda-server container's own "
        "loopback, not your host. Use a Docker Compose service name (e.g. `victoriametrics:8428`) or a Kubernetes "
        "Service DNS name instead. See docs/deployment/endpoints.md."
    )
    assert [text.split("`")[3] for text in texts] == ["localhost:9", "LocalHost:9", "[::1]:9"]


def test_many_loki_streams_are_warned_about() -> None:
    """Rotating labels that make more streams than a push may have are announced, behind the loopback warnings."""

    def logged(*cardinalities: int, **sink: Any) -> dict[str, Any]:
        labels = [{"key": f"k{n}", "cardinality": one} for n, one in enumerate(cardinalities)]
        loki = {"type": "loki", "url": "http://localhost:3100"} | sink
        generator = {"type": "template", "templates": []}
        return entry(signal_type="logs", generator=None, log_generator=generator, dynamic_labels=labels, sink=loki)

    loopback, streams = warnings(plan_of(body(logged(10, 26))))
    assert "targets `http://localhost:3100`" in loopback
    assert streams == (
        "scenario entry 'up' will produce up to 130 distinct Loki streams (dynamic_labels: k0, k1), exceeding "
        "max_streams_per_push (128). Either raise max_streams_per_push, reduce dynamic_labels cardinality, or reduce "
        "batch_size so each flush stays under the cap."
    )
    assert len(warnings(plan_of(body(logged(128))))) == 1
    assert len(warnings(plan_of(body(logged(10, 26, max_streams_per_push=130))))) == 1
    assert "more than 1000000 distinct" in warnings(plan_of(body(logged(1_000_001))))[1]
    assert len(warnings(plan_of(body(entry(sink={"type": "loki", "url": "http://h"}))))) == 0


def test_entries_of_the_peer_compile() -> None:
    """Every metrics entry of the golden file with an encoder that runs becomes a plan."""
    compiled = 0
    for line in GOLDEN.read_text().splitlines():
        golden = json.loads(line)["entry"]
        if golden["signal_type"] == "metrics" and golden["encoder"]["type"] in ("prometheus_text", "json_lines"):
            plan = plan_of(body(golden)).entries[0].plan
            assert plan.name == golden["name"]
            assert plan.labels == golden.get("labels", {})
            compiled += 1
    assert compiled > 50


def test_secrets_of_the_wrong_type_are_not_quoted() -> None:
    """A password or a header that is no text is refused without being told."""
    sasl = {"mechanism": "PLAIN", "username": "u", "password": 31337}
    kafka = {"type": "kafka", "brokers": "h:1", "topic": "t", "sasl": sasl}
    push = {"type": "http_push", "url": "http://h", "headers": {"apikey": 31337, "x": [31337]}}
    for sink, path in ((kafka, "sasl.password"), (push, "headers.apikey")):
        with pytest.raises(CompileError) as caught:
            plan_of(body(entry(sink=sink)))
        assert caught.value.faults[0].path == f"scenarios[0].sink.{path}"
        assert "31337" not in f"{caught.value.faults}{caught.value}"


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    """For the file itself and for a directory on the way, in every version of Python."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in ("a", "a/x"):
        status, detail = refusal_of(
            body(entry(sink={"type": "file", "path": f"{tmp_path}/{path}"})), allowed=(tmp_path,)
        )
        assert status == 422
        assert f'path "{tmp_path}/{path}" cannot be resolved: Too many levels of symbolic links' in detail


def test_sinks_write_nothing_in_the_catalog(tmp_path: Path) -> None:
    """Also by a link, and where the catalog lies within an allowed directory; recordings are read from it."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (tmp_path / "link").symlink_to("catalog")
    context = Context(allowed_paths=(tmp_path,), packs=PackSources(catalog=catalog))
    for path in ("catalog/x.yaml", "link/y/z"):
        text = body(entry(sink={"type": "file", "path": f"{tmp_path}/{path}"})).encode()
        with pytest.raises(CompileError, match="is in the catalog, which scenarios may not write to"):
            prepare(compile_scenario(text, BodyFormat.JSON, context), context)
    fine = body(entry(sink={"type": "file", "path": f"{tmp_path}/catalogue"})).encode()
    files = prepare(compile_scenario(fine, BodyFormat.JSON, context), context).entries[0].plan.files
    assert files == FileAccess(roots=(str(tmp_path),), protected=(str(catalog),))
