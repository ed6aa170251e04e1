"""What the remote_write sink makes of answers: in 2.0 the count decides, not the status."""

from typing import Literal

import cramjam
import numpy as np
import pytest

from common.board import Counters
from common.clock import SystemClock
from common.specs import RemoteWriteEncoder, RemoteWriteSink
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import WRITE_2
from tests.support.receiver import Answer, Receiver
from tests.support.station import Station
from worker import delivery, encoders
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch

SAMPLES = 10
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


def counters_after(
    station: Station, answer: Answer, version: Literal["1.0", "2.0"] = "2.0", backfill_ns: int = 0
) -> tuple[Counters, Receiver]:
    """What is counted when one request of ten samples is answered so."""
    with Receiver(lambda _: answer) as receiver:
        sink = RemoteWriteSink(url=receiver.url, protocol_version=version, batch_size=SAMPLES)
        plan = entry_plan(name="up", encoder=RemoteWriteEncoder(), sink=sink, backfill_ns=backfill_ns)
        context = SinkContext(waiter=station.control, clock=SystemClock(), lock_descriptor=-1, plan=plan)
        counters = Counters()
        way = delivery.build(context, counters, lambda: None)
        way.open()
        batch = Batch(0, np.arange(SAMPLES, dtype=float), np.arange(1, SAMPLES + 1) * 10**12)
        way.deliver(batch, encoders.build(plan).encode(batch))
        way.finish()
        return counters, receiver


@pytest.mark.parametrize("header", [WRITTEN, WRITTEN.lower()])
def test_what_was_written_is_delivered(station: Station, header: str) -> None:
    """The request names its message and version."""
    counters, receiver = counters_after(station, Answer(204, headers=(f"{header}: 10",)))
    assert (counters.total_events, counters.acknowledged_events, counters.errors) == (SAMPLES, SAMPLES, 0)
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert request.headers["content-encoding"] == "snappy"
    assert request.headers["x-prometheus-remote-write-version"] == "2.0.0"
    (series,) = WRITE_2["Request"].FromString(bytes(cramjam.snappy.decompress_raw(request.body))).timeseries
    assert [sample.value for sample in series.samples] == list(range(SAMPLES))


@pytest.mark.parametrize("status", [200, 400])
def test_what_was_written_in_part_is_rejected_in_part(station: Station, status: int) -> None:
    """Whatever the status says."""
    counters, _ = counters_after(station, Answer(status, b"too old", headers=(f"{WRITTEN}: 7",)))
    assert (counters.acknowledged_events, counters.rejected_events, counters.errors) == (7, 3, 0)
    assert counters.last_rejection.startswith("3 samples not written: HTTP ")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("words", ["out of bounds", "too old sample", "err-mimir-sample-timestamp-too-old"])
def test_history_that_is_too_old_for_the_receiver_is_no_failure(
    station: Station, version: Literal["1.0", "2.0"], words: str
) -> None:
    """It is rejected for good, and the receiver's words are told."""
    counters, receiver = counters_after(station, Answer(400, words.encode()), version, backfill_ns=10**9)
    assert (counters.rejected_events, counters.lost_events, counters.errors) == (SAMPLES, 0, 0)
    assert counters.last_rejection == f"HTTP 400 from '{receiver.url}': {words}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(204), "without the header X-Prometheus-Remote-Write-Samples-Written: nothing was written; a receiver"),
        (Answer(200, headers=(f"{WRITTEN}: 0",)), "of 0 samples: nothing was written; a receiver"),
        (Answer(200, headers=(f"{WRITTEN}: many",)), "without the header "),
        (Answer(415, b"unsupported media type"), ": unsupported media type"),
        (Answer(400, b"all too old", headers=(f"{WRITTEN}: 0",)), ": all too old"),
    ],
)
def test_nothing_written_is_a_failure(station: Station, answer: Answer, words: str) -> None:
    """Every sample of the request is lost, and that is said."""
    counters, receiver = counters_after(station, answer)
    assert (counters.acknowledged_events, counters.lost_events, counters.total_sink_failures) == (0, SAMPLES, 1)
    assert counters.last_sink_error.startswith(f"HTTP {answer.status} from '{receiver.url}'")
    assert words in counters.last_sink_error
