"""The Kafka sink in real workers, against a broker within the library: reports counted, stops kept, no thread left."""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from common.counters import Counters
from common.errors import SinkError, SinkOpenError
from common.plan import EntryPlan, RotatingLabel
from common.specs import JsonLines, Kafka, KafkaSasl, KafkaTls, Memory, Retry, Step
from common.wire import receive_event
from tests.support.mock_kafka import MockKafka
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.station import Station
from tests.support.worker_process import WorkerProcess, hosting_worker, worker_processes

RETRY = Retry(max_attempts=3, initial_backoff="1ms", max_backoff="5ms")


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    with MockKafka() as broker:
        yield broker


def counting(sink: Kafka, rate: float = 20_000.0) -> EntryPlan:
    return entry_plan(
        name="ticks",
        rate=rate,
        generator=Step(step_size=1.0),
        labels={"zone": "z"},
        dynamic_labels=(RotatingLabel(key="host", cardinality=3, prefix="web-"),),
        sink=sink,
    )


def counters_after(worker: WorkerProcess, events: int) -> Counters:
    """Stop a worker once it has so many events; they must be far less than a partition keeps."""
    wait_until(lambda: worker.counters().total_events >= events, f"{events} events")
    worker.stop(30.0)
    assert worker.finished().reason == "stopped"
    assert worker.ended() == 0
    return worker.counters()


def threads_of_the_library(pid: int) -> set[str]:
    """The numbers of the threads that the Kafka library has in a process."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if (task / "comm").read_text().startswith("rdk:"):
                found.add(task.name)
    return found


def threads_of_the_sink() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kafka"}


def test_batches_go_to_the_first_partition_in_order(broker: MockKafka) -> None:
    """Records of 64 KiB and the line that passes it, without a key; each event acknowledged, once and in order."""
    with worker_processes() as (worker,):
        worker.start(counting(Kafka(brokers=broker.address, topic="t"), rate=5000.0))
        counters = counters_after(worker, 5000)
    assert (counters.acknowledged_events, counters.errors) == (counters.total_events, 0)
    records = broker.records("t")
    assert counters.deliveries == len(records) > 2
    assert {(record.partition(), record.key(), record.headers()) for record in records} == {(0, None, None)}
    for record in records[:-1]:
        value = record.value() or b""
        assert 65_536 <= len(value) < 65_536 + len(value.splitlines()[-1]) + 1
    lines = b"".join(record.value() or b"" for record in records).splitlines()
    assert [int(line.split()[1]) for line in lines] == list(range(counters.total_events))


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_events_are_records_with_key_headers_and_instant(broker: MockKafka, compression: str) -> None:
    """One each, the events of a key in one partition and in order."""
    sink = Kafka(
        brokers=broker.address,
        topic="t",
        records="event",
        key="host",
        headers={"source": "sondad"},
        compression=compression,  # type: ignore[arg-type]
    )
    with worker_processes() as (worker,):
        worker.start(counting(sink, rate=2000.0))
        counters = counters_after(worker, 1000)
    assert counters.acknowledged_events == counters.total_events
    records = broker.records("t")
    by_key: dict[bytes | None, list[tuple[int, int]]] = {}
    partitions: dict[bytes | None, set[int]] = {}
    for record in records:
        assert record.headers() == [("source", b"sondad")]
        name, value, stamp = (record.value() or b"").split(b" ")
        assert int(stamp) == record.timestamp()[1]
        assert b'host="%s"' % (record.key() or b"") in name
        by_key.setdefault(record.key(), []).append((record.offset(), int(value)))
        partitions.setdefault(record.key(), set()).add(record.partition())
    assert by_key.keys() == {b"web-0", b"web-1", b"web-2"}
    for number, (key, ticks) in enumerate(sorted(by_key.items())):
        assert len(partitions[key]) == 1
        assert [tick for _, tick in sorted(ticks)] == list(range(number, counters.total_events, 3))


def test_json_events_have_no_line_feed(broker: MockKafka) -> None:
    """Each value is one JSON object."""
    sink = Kafka(brokers=broker.address, topic="t", records="event")
    with worker_processes() as (worker,):
        worker.start(entry_plan(name="x", rate=1000.0, encoder=JsonLines(), sink=sink))
        events = counters_after(worker, 50).total_events
    values = [record.value() or b"" for record in broker.records("t")]
    assert len(values) == events
    assert all(value.startswith(b"{") and value.endswith(b"}") for value in values)


def test_hosted_entries_do_not_hold_each_other_up() -> None:
    """One hangs on a broker that does not answer, and the other goes on, in one process."""
    with MockKafka() as hung, MockKafka() as fine, hosting_worker() as worker:
        worker.add("hung", counting(Kafka(brokers=hung.address, topic="t"), rate=200_000.0))
        worker.add("fine", counting(Kafka(brokers=fine.address, topic="t"), rate=2000.0))
        worker.add("none", entry_plan(rate=2000.0, sink=Memory()))
        worker.start_all()
        wait_until(lambda: worker.counters_of("hung").acknowledged_events > 0, "the first works")
        hung.pause()
        acknowledged = worker.counters_of("fine").acknowledged_events
        events = worker.counters_of("none").total_events
        wait_until(lambda: worker.counters_of("none").total_events > events + 8000, "one entry goes on")
        wait_until(lambda: worker.counters_of("fine").acknowledged_events > acknowledged + 2000, "the other too")
        worker.stop_one("hung", 2.0)
        assert worker.finished_of("hung").reason == "stopped"
        stats = worker.counters_of("hung")
        assert "no acknowledgement before the scenario had to stop" in str(stats.last_sink_error)
        assert 0 < stats.in_doubt_events <= stats.lost_events
        # The library's threads of what was given up end by themselves, those of the others stay.
        worker.stop_one("fine")
        assert worker.finished_of("fine").reason == "stopped"
        wait_until(lambda: not threads_of_the_library(worker.process.pid or 0), "no thread of the library is left")
        worker.stop()
        assert worker.ended() == 0


def stops(worker: WorkerProcess, how: str) -> None:
    if how == "stop":
        worker.stop(5.0)
    else:
        psutil.Process(worker.process.pid).terminate()


@pytest.mark.parametrize("how", ["stop", "sigterm"])
@pytest.mark.parametrize("fate", ["pause", "kill"])
def test_a_broker_that_is_gone_holds_no_worker(broker: MockKafka, how: str, fate: str) -> None:
    """The process leaves by itself within the window of its stop, and every event is accounted for."""
    with worker_processes() as (worker,):
        worker.start(counting(Kafka(brokers=broker.address, topic="t"), rate=500_000.0))
        wait_until(lambda: worker.counters().acknowledged_events > 50_000, "it works")
        getattr(broker, fate)()
        before = worker.counters().total_events
        stops(worker, how)
        assert worker.finished().reason == "stopped"
        assert worker.ended() == 0
        counters = worker.counters()
        assert counters.total_events >= before
        accounted = counters.acknowledged_events + counters.lost_events
        # The event that completes a record counts as one of `errors` when that fails, but not the last flush's.
        assert accounted <= counters.total_events + counters.errors <= accounted + 1
        broker.resume()


def test_a_client_leaves_no_thread_behind(station: Station, broker: MockKafka) -> None:
    """After a regular end, and after one with records in flight."""
    sinks_before, library_before = threads_of_the_sink(), threads_of_the_library(os.getpid())
    for hangs in (False, True):
        sink = station.request_sink(counting(Kafka(brokers=broker.address, topic="t")))
        sink.open()
        assert threads_of_the_sink() - sinks_before
        request = sink.request([])
        if hangs:
            broker.pause()
            sink.begin(request)  # type: ignore[attr-defined]
        else:
            sink.send(request)
        sink.close()
        wait_until(lambda: threads_of_the_sink() <= sinks_before, "its thread is gone")
        gc.collect()
        wait_until(lambda: threads_of_the_library(os.getpid()) <= library_before, "the library's threads are gone")
    broker.resume()


def test_what_is_sent_again_arrives_when_the_broker_is_back(broker: MockKafka) -> None:
    """It hangs for longer than a record may take: the attempt fails in doubt, and a later one succeeds."""
    with worker_processes() as (worker,):
        worker.start(counting(Kafka(brokers=broker.address, topic="t", retry=RETRY), rate=5000.0))
        wait_until(lambda: worker.counters().acknowledged_events > 5000, "it works")
        broker.pause()
        wait_until(
            lambda: any("retry 1/3 after" in getattr(event, "message", "") for event in heard(worker)), "a retry", 60
        )
        broker.resume()
        acknowledged = worker.counters().acknowledged_events
        wait_until(lambda: worker.counters().acknowledged_events > acknowledged + 20_000, "it works again")
        worker.stop()
        assert worker.finished().reason == "stopped"
        counters = worker.counters()
        assert (counters.errors, counters.lost_events) == (0, 0)
        assert counters.acknowledged_events == counters.total_events
        assert counters.last_sink_error is None


def heard(worker: WorkerProcess) -> list[object]:
    """Every event of the worker so far."""
    while worker.connection.poll():
        worker.events.append(receive_event(worker.connection))
    return list(worker.events)


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        (Kafka(brokers="127.0.0.1:1", topic="t"), "'127.0.0.1:1': 127.0.0.1:1: Connection refused (os error 111)"),
        (
            Kafka(brokers="127.0.0.1:1,localhost:1", topic="t"),
            "'127.0.0.1:1,localhost:1': ",
        ),
        (Kafka(brokers="nosuch.invalid:1", topic="t"), "nosuch.invalid:1: failed to lookup address information: "),
    ],
)
def test_nobody_there_is_said_at_once(station: Station, sink: Kafka, told: str) -> None:
    """In the words of the operating system, without a log line beside it."""
    built = station.request_sink(counting(sink))
    with pytest.raises(SinkOpenError) as caught:
        built.open()
    built.close()
    assert str(caught.value).startswith("kafka sink: failed to connect to broker(s) '")
    assert told in str(caught.value)
    assert station.events() == []


def test_a_silent_broker_is_given_up_with_the_stop(station: Station, broker: MockKafka) -> None:
    """The wait for a connection ends with the time of a stop."""
    broker.pause()
    sink = station.request_sink(counting(Kafka(brokers=broker.address, topic="t")))
    station.stop(1.0)
    with pytest.raises(
        SinkOpenError, match=f"failed to connect to broker\\(s\\) '{broker.address}': no answer in time"
    ):
        sink.open()
    sink.close()
    broker.resume()


def test_a_login_without_tls_is_warned_of(station: Station) -> None:
    """Word for word, and without the password."""
    sasl = KafkaSasl(mechanism="PLAIN", username="u", password="p4ss")
    sink = station.request_sink(counting(Kafka(brokers="127.0.0.1:1", topic="t", sasl=sasl)))
    with pytest.raises(SinkOpenError) as caught:
        sink.open()
    sink.close()
    (event,) = station.events()
    assert getattr(event, "message", "") == (
        "WARNING: kafka sink: SASL authentication is configured without TLS — credentials will be sent in plaintext "
        "over the network"
    )
    assert "p4ss" not in f"{caught.value}{event}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "failed to read CA cert file '{path}': No such file or directory (os error 2)"),
        ("hello\n", "no valid certificates found in CA cert file '{path}'"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "failed to parse certificate in CA cert file '{path}': ",
        ),
    ],
)
def test_certificates_that_cannot_be_used(station: Station, tmp_path: Path, text: str | None, told: str) -> None:
    """Each with its own words, before anything is contacted."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    tls = KafkaTls(enabled=True, ca_cert=str(path))
    sink = station.request_sink(counting(Kafka(brokers="127.0.0.1:1", topic="t", tls=tls)))
    with pytest.raises(SinkOpenError) as caught:
        sink.open()
    sink.close()
    assert str(caught.value).startswith("kafka sink: " + told.format(path=path))


def test_a_failure_names_topic_and_brokers(station: Station, broker: MockKafka) -> None:
    """The broker has gone: the record fails after ten seconds, with the reason of the connection."""
    sink = station.request_sink(counting(Kafka(brokers=broker.address, topic="t")))
    sink.open()
    broker.kill()
    with pytest.raises(SinkError) as caught:
        sink.send(sink.request([]))
    sink.close()
    failed = f"kafka sink: failed to produce record to topic 't' at broker(s) '{broker.address}': "
    assert str(caught.value).startswith(failed)
    assert caught.value.retriable
    assert caught.value.in_doubt
