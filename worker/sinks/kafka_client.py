"""The producer of a kafka sink, and the one thread of ours that serves it.

::

    sink ──produce──► library ──its own threads──► brokers
      ▲                  │ reports, errors, log lines
      └──bell── serving thread: makes every call of the library that may block, the last one included

So a stop always reaches the worker. What is given up is left to the serving thread, which then ends by itself.

Source: docs/sinks.md, "Kafka"; docs.confluent.io, librdkafka, "Introduction".
"""

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.control.waiting import Waiter
from worker.sinks.kafka_causes import broker_of, cause_of, line_of, may_come
from worker.sinks.kafka_records import Record
from worker.sinks.resolve import CONNECT_SECS

TOPIC_SECS: Final = 30.0
"""How long a topic may take to come into being."""

_FIRST_ASK_SECS: Final = 0.1
_LONGEST_ASK_SECS: Final = 1.0
_ASK_PAUSE_SECS: Final = 0.1
_HANG_UPS: Final = 3
_HUNG_UP: Final = "the broker closes the connection; its listener may be for TLS, or for clients that log in"
_POLL_SECS: Final = 1.0
"""How long the serving thread waits for a report at a time; one that comes ends the wait."""
_IDLE_SECS: Final = 5.0
"""How often it fetches errors and log lines while no report is missing."""
_CLOSE_SECS: Final = 2.0
_MOST_LINES: Final = 20
_REPEAT_SECS: Final = 60.0


class UnfoundError(Exception):
    """The topic was not found.

    Attributes:
        connected: whether a broker was reached.
    """

    def __init__(self, cause: str, *, connected: bool) -> None:
        super().__init__(cause)
        self.connected = connected


class Handover:
    """Records that were handed over together, and what has become of them.

    Attributes:
        records: how many there are.
        reported: how many have a report.
        failed: those that failed, in the order of their reports.
    """

    __slots__ = ("failed", "records", "reported")

    def __init__(self) -> None:
        self.records = 0
        self.reported = 0
        self.failed: list[tuple[KafkaError, Message]] = []

    @property
    def is_over(self) -> bool:
        """Whether every record has its report."""
        return self.records == self.reported

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take the report of one record."""
        if error is not None:
            self.failed.append((error, message))
        self.reported += 1


class KafkaClient:
    """One producer.

    Args:
        settings: of the library.
        brokers: how many addresses there are to begin with.
        waiter: all waiting of the sink.

    Attributes:
        reason: the newest error of a connection; empty before there is one.
        lines: what the library has to say, for the log; the newest few.
    """

    def __init__(self, settings: Mapping[str, Any], brokers: int, waiter: Waiter) -> None:
        self.reason = ""
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._settings = settings
        self._brokers = brokers
        self._waiter = waiter
        self._bell: int | None = None
        self._thread: threading.Thread | None = None
        self._producer: Producer | None = None
        self._failing: set[str] = set()
        self._hung_up = False
        self._connected = False
        self._found = False
        self._unfound: UnfoundError | None = None
        self._closed = False
        self._closing = threading.Event()
        self._work = threading.Event()
        self._awaited: Handover | None = None
        # Reports are taken by one thread at a time.
        self._polling = threading.Lock()

    def open(self, topic: str) -> None:
        """Connect, and ask for the topic until it exists.

        Raises:
            UnfoundError: it was not found in time, or never will be.
        """
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        serving = threading.Thread(target=self._serve, args=(topic, os.dup(self._bell)), name="kafka", daemon=True)
        self._thread = serving
        serving.start()
        looked = self.wait(lambda: self._connected or self._unfound is not None, CONNECT_SECS)
        if looked:
            looked = self.wait(lambda: self._found or self._unfound is not None, TOPIC_SECS)
        if self._unfound is not None:
            raise self._unfound
        if not looked:
            raise UnfoundError(self.reason or "no answer in time", connected=self._connected)

    def produce(self, handover: Handover, topic: str, records: Iterable[Record], details: Mapping[str, Any]) -> None:
        """Hand over records in order, all with the same details; their reports go to `handover`.

        Raises:
            KafkaException: the library does not take one.
            BufferError: it has no room for one.
        """
        assert self._producer is not None  # noqa: S101 - opened
        produce, report = self._producer.produce, handover.report
        handed = 0
        try:
            for value, key, stamp_ms in records:
                produce(topic, value, key, on_delivery=report, timestamp=stamp_ms, **details)
                handed += 1
        finally:
            handover.records = handed

    def finish(self, handover: Handover, secs: float) -> bool:
        """Wait for all reports; return whether they came in time.

        PERF: what has been reported is taken here; waking the serving thread for each record was measured to cost a
        third of what a worker delivers.
        """
        if handover.is_over:
            return True
        assert self._producer is not None  # noqa: S101 - opened
        if self._polling.acquire(blocking=False):
            self._producer.poll(0)
            self._polling.release()
        if handover.is_over:
            return True
        self._awaited = handover
        self._work.set()
        return self.wait(lambda: handover.is_over, secs)

    def wait(self, done: Callable[[], bool], secs: float) -> bool:
        """Return whether `done` holds in time; it is asked whenever there is news."""
        assert self._bell is not None  # noqa: S101 - opened
        until = time.monotonic() + secs
        while not done():
            if not self._waiter.until_readable(self._bell, until - time.monotonic()):
                return done()
            os.eventfd_read(self._bell)
        return True

    def close(self) -> None:
        """End the producer and its thread, dropping what is in flight; safe twice."""
        if self._thread is not None:
            producer, self._producer = self._producer, None
            if producer is not None:
                # Its reports end the wait that the serving thread is in.
                producer.purge(blocking=False)
                del producer
            self._closing.set()
            self._work.set()
            if self.wait(lambda: self._closed, _CLOSE_SECS):
                self._thread.join()
            self._thread = None
        if self._bell is not None:
            os.close(self._bell)
            self._bell = None

    def _serve(self, topic: str, bell: int) -> None:
        # Signals are the main thread's.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        logger = logging.Logger("librdkafka")
        logger.addHandler(_Collecting(self.lines))
        try:
            producer = Producer({**self._settings, "error_cb": self._note}, logger=logger)
            self._producer = producer
            self._look_for(producer, topic)
            os.eventfd_write(bell, 1)
            while not self._closing.is_set():
                self._work.wait(_IDLE_SECS)
                self._work.clear()
                with self._polling:
                    producer.poll(0)
                    while not (self._awaited is None or self._awaited.is_over or self._closing.is_set()):
                        producer.poll(_POLL_SECS)
                os.eventfd_write(bell, 1)
            # Reports that nobody takes would keep the library from ending.
            producer.poll(0)
            self._producer = None
            del producer
        except KafkaException as exc:
            self._unfound = UnfoundError(cause_of(exc.args[0]), connected=self._connected)
        finally:
            self._closed = True
            os.eventfd_write(bell, 1)
            os.close(bell)

    def _look_for(self, producer: Producer, topic: str) -> None:
        """Ask until the topic is there, or never will be."""
        ask_secs, asked = _FIRST_ASK_SECS, 0
        while not self._closing.is_set():
            try:
                found = producer.list_topics(topic, ask_secs).topics[topic]
            except KafkaException as exc:
                if self._connected:
                    self.reason = self.reason or exc.args[0].str()
            else:
                self._connected = True
                if found.error is None and found.partitions:
                    self._found = True
                    return
                if found.error is not None:
                    self.reason = cause_of(found.error)
                    if not may_come(found.error):
                        self._unfound = UnfoundError(self.reason, connected=True)
                        return
            producer.poll(0)
            asked += 1
            if not self._connected and (len(self._failing) >= self._brokers or (self._hung_up and asked >= _HANG_UPS)):
                self._unfound = UnfoundError(self.reason or _HUNG_UP, connected=False)
                return
            ask_secs = min(2 * ask_secs, _LONGEST_ASK_SECS)
            self._closing.wait(_ASK_PAUSE_SECS if self._connected else 0)

    def _note(self, error: KafkaError) -> None:
        """Take an error that concerns no record."""
        broker = broker_of(error)
        if broker:
            self._failing.add(broker)
            self.reason = cause_of(error)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._hung_up = True


class _Collecting(logging.Handler):
    """Keeps the newest lines, each once a minute: the library repeats itself."""

    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines
        self._kept_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        line, now = line_of(record.getMessage()), time.monotonic()
        if now - self._kept_at.get(line, -_REPEAT_SECS) < _REPEAT_SECS:
            return
        if len(self._kept_at) >= _MOST_LINES:
            self._kept_at.clear()
        self._kept_at[line] = now
        self._lines.append(line)
