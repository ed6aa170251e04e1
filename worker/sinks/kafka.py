"""The kafka sink: events back to back as the value of one record, or every event as a record of its own.

Several requests may be in flight; every record has a delivery report, and a request is over when all of its records
have theirs. Source: docs/sinks.md, "Kafka".
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from common.errors import SinkError, SinkOpenError
from common.labels import label_space
from common.plan import EntryPlan
from common.specs import Kafka
from common.units import clip, duration_or_zero_us, nanoseconds
from common.urls import shown_url
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.context import SinkContext
from worker.sinks.kafka_causes import cause_of, is_in_doubt, says_little
from worker.sinks.kafka_client import Handover, KafkaClient, UnfoundError
from worker.sinks.kafka_records import NOW_MS, Record, again, records_of
from worker.sinks.kafka_settings import ACKNOWLEDGE_SECS, settings_of

_RECORD_BYTES: Final = 65_536
_REPORT_SECS: Final = ACKNOWLEDGE_SECS + 5.0
"""The library gives every record up within the first term, and looks for such records once a second."""

_UNSAFE_LOGIN: Final = (
    "WARNING: kafka sink: SASL authentication is configured without TLS — credentials will be sent in plaintext over "
    "the network"
)


class Request:
    """Records on their way.

    Attributes:
        records: those without an acknowledgement.
        total: how many there were at first.
    """

    __slots__ = ("records", "total")

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.total = len(records)


class Flight(NamedTuple):
    """A request that was handed over."""

    request: Request
    handover: Handover
    refusal: SinkError | None


class KafkaSink:
    """Produces to one topic.

    Attributes:
        batching: what makes a request.
        max_in_flight: how many may wait for their reports.
    """

    max_in_flight: Final = 16

    def __init__(self, spec: Kafka, context: SinkContext) -> None:
        age_ns = nanoseconds(duration_or_zero_us(spec.max_buffer_age))
        self.batching = Batching(_RECORD_BYTES, "bytes", age_ns, whole_events=True)
        self._spec = spec
        self._name = context.plan.name
        self._files = context.plan.files
        self._waiter = context.waiter
        self.relabel(context.plan)
        self._client: KafkaClient | None = None
        self._brokers = clip(shown_url(spec.brokers))
        self._failed = (
            f"kafka sink: failed to produce record to topic '{clip(spec.topic)}' at broker(s) '{self._brokers}'"
        )
        self._details: dict[str, Any] = {}
        if spec.records == "batch":
            self._details["partition"] = 0
        elif spec.headers:
            self._details["headers"] = [(name, value.encode()) for name, value in spec.headers.items()]

    def relabel(self, plan: EntryPlan) -> None:
        """Take the keys of records from the labels of `plan` from now on."""
        self._labels = label_space(plan)

    def open(self) -> None:
        """Connect, and wait for the topic.

        Raises:
            SinkOpenError: the certificates cannot be used, no broker was reached, or the topic does not exist.
        """
        spec = self._spec
        settings = settings_of(spec, self._files)
        if spec.sasl is not None and (spec.tls is None or not spec.tls.enabled):
            self._waiter.log(logging.WARNING, _UNSAFE_LOGIN)
        self._client = KafkaClient(settings, len(set(spec.addresses)), self._waiter)
        try:
            self._client.open(spec.topic)
        except UnfoundError as exc:
            what = (
                f"get partition client for topic '{clip(spec.topic)}' at broker(s)"
                if exc.connected
                else "connect to broker(s)"
            )
            raise SinkOpenError(f"kafka sink: failed to {what} '{self._brokers}': {exc}") from exc
        self._pass_lines_on()

    def request(self, pieces: Sequence[Piece]) -> Request:
        """Return the records of all events of `pieces`."""
        if self._spec.records == "batch":
            return Request([(b"".join(piece.payload for piece in pieces), None, NOW_MS)])
        return Request(records_of(pieces, self._labels, self._spec.key))

    def begin(self, request: Request) -> Flight:
        """Hand the records of a request over, those that were acknowledged before excepted."""
        client = self._client
        assert client is not None  # noqa: S101 - opened before the first tick
        handover = Handover()
        refusal = None
        try:
            client.produce(handover, self._spec.topic, request.records, self._details)
        except KafkaException as exc:
            refusal = SinkError(f"{self._failed}: {cause_of(exc.args[0])}", retriable=True)
        except BufferError:
            refusal = SinkError(f"{self._failed}: too many records are in flight", retriable=True)
        return Flight(request, handover, refusal)

    def end(self, flight: Flight) -> Rejection | None:
        """Wait for the reports of a request.

        Raises:
            SinkError: some of its records were not acknowledged.
        """
        client = self._client
        assert client is not None  # noqa: S101 - begun
        request, handover, refusal = flight
        came = client.finish(handover, _REPORT_SECS)
        self._pass_lines_on()
        if came and not handover.failed and refusal is None:
            client.reason = ""
            return None
        raise self._failure(request, handover, refusal, came=came)

    def send(self, request: Request) -> Rejection | None:
        """Deliver a request.

        Raises:
            SinkError: some of its records were not acknowledged.
        """
        return self.end(self.begin(request))

    def close(self) -> None:
        """End the library's client; safe twice and before `open`."""
        if self._client is not None:
            self._client.close()

    def _failure(self, request: Request, handover: Handover, refusal: SinkError | None, *, came: bool) -> SinkError:
        """Return how a request failed, and leave in it what another attempt has to send."""
        failed = handover.failed
        unsent = request.records[handover.records :]
        lost = handover.records - handover.reported + len(failed) + len(unsent)
        if request.total > 1:
            request.records = [*map(again, (message for _, message in failed)), *unsent]
        if not came:
            why = "the scenario had to stop" if self._waiter.given_up else "the library gave it up"
            text = f"{self._failed}: no acknowledgement before {why}"
        elif refusal is not None:
            text = str(refusal)
        else:
            text = f"{self._failed}: {self._cause(failed[0][0])}"
        in_doubt = not came or any(is_in_doubt(error) for error, _ in failed)
        return SinkError(text, retriable=came, in_doubt=in_doubt, delivered_events=request.total - lost)

    def _cause(self, error: KafkaError) -> str:
        assert self._client is not None  # noqa: S101 - it has reported
        cause, reason = cause_of(error), self._client.reason
        return f"{cause}: {reason}" if reason and says_little(error) else cause

    def _pass_lines_on(self) -> None:
        """Put into the log what the library has to say."""
        assert self._client is not None  # noqa: S101 - only it has lines
        while self._client.lines:
            line = self._client.lines.popleft()
            self._waiter.log(logging.WARNING, f"sonda: scenario '{self._name}': kafka sink: {line}")


def build(spec: Kafka, context: SinkContext) -> KafkaSink:
    """Return the sink of `spec`."""
    return KafkaSink(spec, context)
