"""A real Kafka gets every event, value by value, by each way to log in; all are counted while it comes and goes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends.kafka import PARTITIONS, PASSWORD, USER, Kafka
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

EVENTS = 200_000
RATE = 5000
RETRY = {"max_attempts": 30, "initial_backoff": "50ms", "max_backoff": "500ms"}
Sink = dict[str, Any]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


def plain(kafka: Kafka) -> Sink:
    return {"brokers": kafka.address}


def tls(kafka: Kafka) -> Sink:
    return {"brokers": f"127.0.0.1:{kafka.ports.tls}", "tls": {"enabled": True, "ca_cert": str(kafka.authority)}}


def login(mechanism: str) -> Callable[[Kafka], Sink]:
    sasl = {"mechanism": mechanism, "username": USER, "password": PASSWORD}
    return lambda kafka: {"brokers": f"127.0.0.1:{kafka.ports.sasl}", "sasl": sasl}


def tls_login(mechanism: str) -> Callable[[Kafka], Sink]:
    sasl = login(mechanism)
    return lambda kafka: sasl(kafka) | tls(kafka) | {"brokers": f"127.0.0.1:{kafka.ports.sasl_tls}"}


WAYS = {"plain": plain, "tls": tls} | {
    f"{kind.__name__} {mechanism}": kind(mechanism)
    for kind in (login, tls_login)
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
}


def entry(name: str, sink: Sink, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "signal_type": "metrics",
        "name": name,
        "rate": RATE,
        "generator": {"type": "step", "step_size": 1},
        "labels": {"zone": 'quoted "x" and ü'},
        "dynamic_labels": [{"key": "host", "prefix": "web-", "cardinality": 4}],
        "encoder": {"type": "json_lines"},
        "sink": {"type": "kafka", "topic": name, **sink},
        **fields,
    }


def launch(server: LiveServer, *entries: dict[str, Any]) -> list[str]:
    rows = server.launch({"version": 2, "scenarios": list(entries)})
    return [row["id"] for row in rows]


def lines_of(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    """Every event that a topic holds, by partition and offset."""
    return [json.loads(line) for record in kafka.records(topic) for line in (record.value() or b"").splitlines()]


def ticks_of(kafka: Kafka, topic: str) -> list[int]:
    return [int(line["value"]) for line in lines_of(kafka, topic)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("records", ["batch", "event"])
def test_every_way_in_delivers_every_value(kafka: Kafka, start_server: StartServer, way: str, records: str) -> None:
    """Topics come into being; each event is there once, in order, with its labels, and its key where it has one."""
    server = start_server()
    topic = f"{way}-{records}".replace(" ", "-")
    sink = WAYS[way](kafka) | ({"records": "event", "key": "host", "headers": {"a": "ü"}} if records == "event" else {})
    # A busy machine may take longer than its second to log in: the history comes nevertheless.
    fields = {"duration": "1s", "backfill": "1s"}
    (row,) = launch(server, entry(topic.replace("-", "_"), sink | {"topic": topic}, **fields))
    stats = server.wait_for_state(row, "finished", 60)
    ticks = stats["total_events"]
    assert ticks > RATE // 2
    assert (stats["errors"], stats["acknowledged_events"]) == (0, ticks)
    found = kafka.records(topic)
    assert sorted(ticks_of(kafka, topic)) == list(range(ticks))
    if records == "batch":
        assert {(record.partition(), record.key()) for record in found} == {(0, None)}
        assert ticks_of(kafka, topic) == list(range(ticks))
        assert all(line["labels"]["zone"] == 'quoted "x" and ü' for line in lines_of(kafka, topic))
        return
    assert len(found) == ticks
    for record in found:
        line = json.loads(record.value() or b"")
        assert (record.key() or b"").decode() == line["labels"]["host"] == f"web-{int(line['value']) % 4}"
        assert record.headers() == [("a", "ü".encode())]
    assert PASSWORD not in server.log()
    assert PASSWORD not in server.get(f"/scenarios/{row}").text


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        (
            lambda kafka: plain(kafka) | {"topic": "a b"},
            "failed to get partition client for topic 'a b' at broker(s) '",
        ),
        (lambda kafka: tls(kafka) | {"tls": {"enabled": True}}, "the certificate cannot be verified"),
        (lambda kafka: tls(kafka) | {"brokers": f"localhost:{kafka.ports.tls}"}, "the certificate cannot be verified"),
        (lambda kafka: plain(kafka) | {"tls": tls(kafka)["tls"]}, "the receiver does not speak TLS"),
        (lambda kafka: {"brokers": f"127.0.0.1:{kafka.ports.tls}"}, "the broker closes the connection"),
        (lambda kafka: {"brokers": f"127.0.0.1:{kafka.ports.sasl}"}, "the broker closes the connection"),
        *(
            (
                lambda kafka, mechanism=mechanism: (
                    login(mechanism)(kafka) | {"sasl": {"mechanism": mechanism, "username": USER, "password": "wr0ng"}}
                ),
                "SASL authentication error: Authentication failed",
            )
            for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
        ),
    ],
)
def test_what_keeps_it_from_starting_is_said(
    kafka: Kafka, start_server: StartServer, sink: Callable[[Kafka], Sink], told: str
) -> None:
    """One failure with its own words, the scenario has ended, a single event gets the same, and nobody the password."""
    server = start_server()
    block = entry("x", sink(kafka))["sink"]
    (row,) = launch(server, entry("x", block))
    stats = server.wait_for_state(row, "finished", 60)
    assert (stats["total_events"], stats["errors"], stats["total_sink_failures"]) == (0, 1, 1)
    assert stats["last_sink_error"].startswith("kafka sink: failed to ")
    assert told in stats["last_sink_error"]
    event = {"signal_type": "metrics", "metric": {"name": "up", "value": 1}, "encoder": {"type": "json_lines"}}
    answer = server.post(event | {"sink": block}, "/events")
    assert answer.status_code == 502
    assert told in answer.json()["detail"]
    assert "wr0ng" not in f"{server.log()}{stats}{answer.text}"


def test_a_single_event_is_there_when_it_is_answered(kafka: Kafka, start_server: StartServer) -> None:
    """As a record of its own, and with its key."""
    server = start_server()
    event = {
        "signal_type": "logs",
        "labels": {"host": "web-1"},
        "log": {"severity": "warn", "message": "deploy"},
        "encoder": {"type": "json_lines"},
        "sink": {"type": "kafka", "topic": "single", "records": "event", "key": "host"} | plain(kafka),
    }
    assert server.post(event, "/events").json()["sent"]
    (record,) = kafka.records("single")
    assert record.key() == b"web-1"
    assert json.loads(record.value() or b"")["message"] == "deploy"


def test_what_a_broker_refuses_is_counted_with_its_words(kafka: Kafka, start_server: StartServer) -> None:
    """Records that are too large for the topic: each a failure, all events lost, none in doubt, none stored."""
    kafka.make_topic("small", **{"max.message.bytes": "10000"})
    server = start_server()
    (row,) = launch(server, entry("small", plain(kafka), duration="2s"))
    stats = server.wait_for_state(row, "finished", 60)
    assert stats["last_sink_error"] == (
        f"kafka sink: failed to produce record to topic 'small' at broker(s) '{kafka.address}': the record is larger "
        "than the broker takes (max.message.bytes)"
    )
    assert stats["errors"] == stats["total_sink_failures"] > 5
    assert (stats["acknowledged_events"], stats["in_doubt_events"]) == (0, 0)
    # A last flush that fails is a failure more, of an event that was counted before.
    assert stats["lost_events"] <= stats["total_events"] + stats["errors"] <= stats["lost_events"] + 1
    assert kafka.records("small", 1) == []


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_a_broker_that_hangs_holds_up_no_stop(kafka: Kafka, start_server: StartServer, isolation: str) -> None:
    """DELETE is answered, and so is SIGTERM: no worker has to be killed, and none is left."""
    server = start_server()
    topic = f"hung_{isolation}"
    entries = (entry(f"{topic}_{number}", plain(kafka), isolation=isolation) for number in range(3))
    rows = launch(server, *entries)
    for row in rows:
        server.wait_for_events(row, RATE)
    kafka.pause()
    try:
        for row in rows:
            events = server.stats(row)["acknowledged_events"]
            wait_until(
                lambda row=row, events=events: server.stats(row)["total_events"] > events, "something is in flight"
            )
        assert server.delete(f"/scenarios/{rows[0]}").json()["status"] == "stopped"
        # What one has in flight does not concern the others.
        assert [server.stats(row)["state"] for row in rows[1:]] == ["running", "running"]
        assert server.stop() == 0
    finally:
        kafka.resume()
    assert not server.log_lines("killed")
    assert len(server.log_lines("scenario task joined")) == 2


def test_two_hundred_thousand_are_counted_while_the_broker_is_killed(kafka: Kafka, start_server: StartServer) -> None:
    """With `retry` every event is stored; without, those that count, and at most those in doubt; the daemon agrees."""
    server = start_server()
    names = ["batch_retried", "event_retried", "batch_once", "event_once"]
    sinks = [
        plain(kafka)
        | {"records": name.partition("_")[0], "max_buffer_age": "500ms"}
        | ({"retry": RETRY} if name.endswith("retried") else {})
        for name in names
    ]
    duration = f"{EVENTS // RATE}s"
    rows = launch(server, *(entry(name, sink, duration=duration) for name, sink in zip(names, sinks, strict=True)))
    for row in rows:
        server.wait_for_events(row, EVENTS // 10)
    kafka.kill()
    for row in rows[2:]:
        wait_until(lambda row=row: server.stats(row)["lost_events"] > 0, "what is sent once is lost", 60)
    kafka.start()
    for name, row in zip(names, rows, strict=True):
        stats = server.wait_for_state(row, "finished", 180)
        generated = stats["acknowledged_events"] + stats["rejected_events"] + stats["lost_events"]
        assert generated == stats["total_events"] + stats["errors"]
        assert EVENTS * 0.9 < generated <= EVENTS
        held = ticks_of(kafka, name)
        if name.endswith("retried"):
            assert (stats["errors"], stats["lost_events"], stats["in_doubt_events"]) == (0, 0, 0)
            assert sorted(set(held)) == list(range(generated))
        else:
            assert stats["lost_events"] > 0
            assert len(set(held)) == len(held)
            assert stats["acknowledged_events"] <= len(held)
            assert len(held) <= stats["acknowledged_events"] + stats["in_doubt_events"]
            assert "kafka sink: failed to produce record to topic" in stats["last_sink_error"]


def test_a_broker_may_ask_for_a_certificate(start_server: StartServer, tmp_path: Path) -> None:
    """With one that its authority has signed the client is let in, and neither without, nor with a key that is none."""
    asks = {
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tmp_path / "authority.pem"),
    }
    with Kafka(tmp_path, **asks) as kafka:
        server = start_server("--allow-path", str(tmp_path))
        own = {"client_cert": str(tmp_path / "server.pem"), "client_key": str(tmp_path / "server.key")}
        shown, bare, wrong = launch(
            server,
            entry("shown", {**tls(kafka), "tls": tls(kafka)["tls"] | own}, duration="1s"),
            entry("bare", tls(kafka)),
            entry("wrong", {**tls(kafka), "tls": tls(kafka)["tls"] | own | {"client_key": own["client_cert"]}}),
        )
        stats = server.wait_for_state(shown, "finished", 60)
        assert stats["errors"] == 0
        # Each of its records goes to one of several partitions.
        assert sorted(ticks_of(kafka, "shown")) == list(range(stats["acknowledged_events"]))
        for row, told in (
            (bare, "the broker asks for a certificate"),
            (wrong, "ssl.key.pem failed: not in PEM format"),
        ):
            stats = server.wait_for_state(row, "finished", 60)
            assert (stats["errors"], stats["total_events"]) == (1, 0)
            assert stats["last_sink_error"].startswith("kafka sink: failed to connect to broker(s) '")
            assert told in stats["last_sink_error"]


def test_a_topic_that_does_not_come_into_being_ends_the_start(start_server: StartServer, tmp_path: Path) -> None:
    """The broker makes none: the scenario waits for somebody to make it, and ends when nobody does."""
    with Kafka(tmp_path, **{"auto.create.topics.enable": "false"}) as kafka:
        server = start_server()
        late, never = launch(server, entry("late", plain(kafka)), entry("never", plain(kafka)))
        wait_until(lambda: server.stats(never)["uptime_secs"] > 2, "both have asked")
        kafka.make_topic("late", PARTITIONS)
        server.wait_for_events(late, 1000)
        stats = server.wait_for_state(never, "finished", 60)
        told = "kafka sink: failed to get partition client for topic 'never' at broker(s) '"
        assert stats["last_sink_error"] == f"{told}{kafka.address}': no such topic or partition"
        assert stats["errors"] == 1
        kafka.delete_topic("late")
        wait_until(lambda: server.stats(late)["errors"] > 0, "a failure", 60)
        assert server.stats(late)["last_sink_error"].startswith("kafka sink: failed to produce record to topic 'late'")
        assert "no such topic" in server.stats(late)["last_sink_error"]
