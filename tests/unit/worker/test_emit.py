"""One event through encoder and sink, over manual clocks."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import EncoderError, SinkError, SinkOpenError
from common.plan import ReplayRows
from common.specs import File, HttpPush, JsonLines, Memory, PrometheusText, Retry, Tcp
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker import sinks
from worker.delivery.retrying import Retrying
from worker.emit import emit
from worker.sinks.context import SinkContext
from worker.sinks.memory import MemorySink
from worker.ticks.batch import Encoded

ROW = ReplayRows(severities=b"\3", messages=("disk {x}\n",), fields={"dev": ("sdb",), "e": ("",)}, repeat=False)


@pytest.fixture
def waiter() -> ManualWaiter:
    return ManualWaiter(ManualClock())


def context(waiter: ManualWaiter, **fields: Any) -> SinkContext:
    return SinkContext(waiter=waiter, clock=waiter.clock, lock_descriptor=-1, plan=entry_plan(**fields))


def test_a_log_event_is_written_as_it_is(waiter: ManualWaiter, tmp_path: Path) -> None:
    """Its stamp is the wall clock, its message is taken literally, an empty field is there."""
    path = tmp_path / "event"
    emit(context(waiter, signal_type="logs", generator=ROW, encoder=JsonLines(), sink=File(path=str(path))))
    assert json.loads(path.read_text()) == {
        "timestamp": "2023-11-14T22:13:21.000Z",
        "severity": "warn",
        "message": "disk {x}\n",
        "labels": {},
        "fields": {"dev": "sdb", "e": ""},
    }


def test_each_event_truncates_its_file(waiter: ManualWaiter, tmp_path: Path) -> None:
    """A file holds the newest event alone."""
    path = tmp_path / "sub" / "event"
    for _ in range(2):
        emit(context(waiter, name="up", labels={"a": "b"}, sink=File(path=str(path))))
    assert path.read_text() == 'up{a="b"} 1 1700000001000\n'


def test_a_destination_that_cannot_be_opened(waiter: ManualWaiter) -> None:
    """Its text is the sink's; nothing is retried."""
    retry = Retry(max_attempts=3, initial_backoff="1s", max_backoff="1s")
    with pytest.raises(SinkOpenError, match="TCP connect to nowhere: invalid socket address"):
        emit(context(waiter, sink=Tcp(address="nowhere", retry=retry)))
    with pytest.raises(SinkOpenError, match="invalid HTTP push URL 'ftp://h': must start with http:// or https://"):
        emit(context(waiter, sink=HttpPush(url="ftp://h")))
    assert waiter.pauses == []


def test_an_encoder_that_cannot_take_it(waiter: ManualWaiter, tmp_path: Path) -> None:
    """The sink was opened before, and is closed again."""
    path = tmp_path / "event"
    path.write_text("old")
    plan = {"signal_type": "logs", "generator": ROW, "encoder": PrometheusText(), "sink": File(path=str(path))}
    with pytest.raises(EncoderError, match="log encoding not supported by this encoder"):
        emit(context(waiter, **plan))
    assert path.read_text() == ""


class Failing(MemorySink):
    """Fails so many times, and takes two seconds for each write."""

    def __init__(self, failures: int, clock: ManualClock) -> None:
        super().__init__(Memory(), clock)
        self.failures = failures
        self.clock = clock
        self.closed = False

    def write(self, encoded: Encoded) -> None:
        self.clock.now_ns += 2_000_000_000
        if self.failures:
            self.failures -= 1
            raise SinkError("no", retriable=True)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("failures", "pauses"), [(0, 0), (2, 2), (3, 2)])
def test_writing_is_retried_as_the_sink_says(
    waiter: ManualWaiter, monkeypatch: pytest.MonkeyPatch, failures: int, pauses: int
) -> None:
    """With backoff, for as many attempts as there are; the latency holds them all, and the sink is closed."""
    sink = Failing(failures, waiter.clock)
    monkeypatch.setitem(sinks.BUILDERS, Tcp, lambda spec, context: sink)
    retry = Retry(max_attempts=2, initial_backoff="1s", max_backoff="1s")
    given = context(waiter, sink=Tcp(address="h:1", retry=retry))
    if failures > 2:
        with pytest.raises(SinkError, match="no"):
            emit(given)
    else:
        latency_ns = emit(given)
        assert latency_ns == 2_000_000_000 * (failures + 1) + sum(int(secs * 1e9) for secs in waiter.pauses)
    assert len(waiter.pauses) == pauses
    assert sink.closed


def test_without_a_retry_block_there_is_one_attempt(waiter: ManualWaiter) -> None:
    """What fails once has failed."""
    attempts = []

    def fail(number: int) -> None:
        attempts.append(number)
        raise SinkError("no", retriable=True)

    with pytest.raises(SinkError):
        Retrying(None, waiter).attempt(fail, 1)
    assert attempts == [1]
