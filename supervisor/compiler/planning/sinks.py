"""What can be said of a sink without opening it.

Source: docs/scenarios.md, "Sinks"; docs/sinks.md, "Trying again" and "How to see it"; docs/http.md, "Answers".
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

from common.errors import DecodeError, DurationError
from common.plan import FileAccess
from common.specs import AddressSink, File, Kafka, KafkaTls, Retry, SinkSpec, kind_of
from common.units import clip, duration_or_zero_us, duration_us
from common.urls import shown_url, split_address, split_url
from supervisor.compiler.paths import check_path
from supervisor.reading.messages import did_you_mean

_SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def check_sink_settings(sink: SinkSpec, access: FileAccess) -> None:
    """Raise DecodeError for a value that is wrong whatever the destination.

    Args:
        sink: as written.
        access: where files may be.
    """
    _check_extra(sink, access)
    _check_delivery(sink, access)
    _check_rest(sink, access)


def _check_extra(sink: SinkSpec, _access: FileAccess) -> None:
    extra = sink.extra
    if extra is not None and find_spec(extra.module) is None:
        raise DecodeError(
            f"sink type '{kind_of(sink)}' requires the '{extra.name}' feature",
            at=("type",),
            hint=f"install it where the daemon runs: pip install 'sondad[{extra.name}]'",
        )


def _check_destination(sink: SinkSpec, _access: FileAccess) -> None:
    if sink.url_noun:
        for url in sink.addresses:
            try:
                split_url(url)
            except ValueError as exc:
                shown = clip(shown_url(url))
                hint = None if "://" in url else f"did you mean `http://{shown}`?"
                raise DecodeError(f"invalid {sink.url_noun} URL '{shown}': {exc}", at=("url",), hint=hint) from exc
    if isinstance(sink, AddressSink):
        try:
            split_address(sink.address)
        except ValueError as exc:
            shown = clip(shown_url(sink.address))
            raise DecodeError(
                f"invalid {kind_of(sink)} address '{shown}': {exc}", at=("address",), hint=_address_hint(sink.address)
            ) from exc
    if isinstance(sink, Kafka):
        _check_brokers(sink)


def _check_brokers(sink: Kafka) -> None:
    shown = clip(shown_url(sink.brokers))
    if not sink.addresses:
        raise DecodeError(f"kafka sink: no valid broker addresses in '{shown}'", at=("brokers",))
    for broker in sink.addresses:
        try:
            split_address(broker)
        except ValueError as exc:
            raise DecodeError(
                f"kafka sink: failed to connect to broker(s) '{shown}': invalid socket address",
                at=("brokers",),
                hint=_address_hint(broker) or f"`{clip(shown_url(broker))}`: {exc}",
            ) from exc


def _address_hint(address: str) -> str | None:
    scheme, separator, rest = address.partition("://")
    if separator and scheme.isalpha():
        return f"an address has no scheme: did you mean `{clip(shown_url(rest))}`?"
    return None


def _check_rest(sink: SinkSpec, access: FileAccess) -> None:
    match sink:
        case Kafka(sasl=sasl) if sasl is not None and sasl.mechanism not in _SASL_MECHANISMS:
            raise DecodeError(
                f"unsupported SASL mechanism: '{clip(sasl.mechanism)}' "
                "(expected PLAIN, SCRAM-SHA-256, or SCRAM-SHA-512)",
                at=("sasl", "mechanism"),
                hint=did_you_mean(sasl.mechanism.upper(), _SASL_MECHANISMS),
            )
        case Kafka():
            _check_records(sink)
            if sink.tls is not None and sink.tls.enabled:
                _check_tls(sink.tls, access)
        case File(path=path):
            check_path(path, access, at=("path",), writes=True)


def _check_tls(tls: KafkaTls, access: FileAccess) -> None:
    if (tls.client_cert is None) is not (tls.client_key is None):
        missing = "client_cert" if tls.client_cert is None else "client_key"
        raise DecodeError(
            f"kafka sink: {missing} is missing: a client's certificate needs its key", at=("tls", missing)
        )
    for field in ("ca_cert", "client_cert", "client_key"):
        path = getattr(tls, field)
        if path is not None:
            check_path(path, access, at=("tls", field))


def check_record_key(sink: SinkSpec, labels: Collection[str]) -> None:
    """Raise DecodeError for a sink whose records get their key from a label that none of its events can have.

    Args:
        sink: as written.
        labels: the keys of all labels that an event can have.
    """
    if isinstance(sink, Kafka) and sink.key is not None and sink.key not in labels:
        raise DecodeError(
            f"kafka sink: key '{clip(sink.key)}' is no label of this entry",
            at=("key",),
            hint=did_you_mean(sink.key, tuple(labels)),
        )


def _check_records(sink: Kafka) -> None:
    """Refuse what only records of one event have, and a topic that the library would cut short."""
    if "\0" in sink.topic:
        raise DecodeError("kafka sink: topic holds a NUL character", at=("topic",))
    for field in ("key", "headers"):
        if sink.records != "event" and getattr(sink, field) is not None:
            raise DecodeError(f"kafka sink: {field} needs records: event", at=(field,))


def _check_delivery(sink: SinkSpec, _access: FileAccess) -> None:
    if sink.max_buffer_age is not None:
        with _in_field("max_buffer_age"):
            duration_or_zero_us(sink.max_buffer_age)
    if sink.retry is not None:
        _check_retry(sink.retry)


def _check_retry(retry: Retry) -> None:
    if retry.max_attempts == 0:
        raise DecodeError("retry max_attempts must be at least 1", at=("retry", "max_attempts"))
    with _in_field("retry", "max_backoff"):
        longest_us = duration_us(retry.max_backoff)
    with _in_field("retry", "initial_backoff"):
        first_us = duration_us(retry.initial_backoff)
    if longest_us < first_us:
        raise DecodeError(
            f"retry max_backoff ({clip(retry.max_backoff)}) must be >= initial_backoff ({clip(retry.initial_backoff)})",
            at=("retry", "max_backoff"),
        )


@contextmanager
def _in_field(*steps: str) -> Iterator[None]:
    try:
        yield
    except DurationError as exc:
        raise DecodeError(str(exc), at=steps) from exc


SINK_CHECKS: Final = (_check_extra, _check_delivery, _check_destination, _check_rest)
"""What refuses values that no opening can mend, in the order in which faults are told; each takes sink and roots."""
