"""What can be said of a sink without opening it.

Source: docs/scenarios.md, "Sinks"; docs/sinks.md, "Trying again" and "How to see it"; docs/http.md, "Answers".
"""

from pathlib import Path

from common.errors import DecodeError, DurationError
from common.specs import File, Kafka, Retry, SinkSpec
from common.units import clip, duration_or_zero_us, duration_us
from supervisor.compiler.paths import check_path

_SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def check_sink(sink: SinkSpec, allowed_paths: tuple[Path, ...]) -> None:
    """Raise DecodeError for a value that no opening can mend; arguments as `check_sink_settings`."""
    _check_delivery(sink)
    _check_destination(sink)
    _check_rest(sink, allowed_paths)


def check_sink_settings(sink: SinkSpec, allowed_paths: tuple[Path, ...]) -> None:
    """Raise DecodeError for a value that is wrong whatever the destination.

    Args:
        sink: as written.
        allowed_paths: resolved roots under which files may be written; empty allows every path.
    """
    _check_delivery(sink)
    _check_rest(sink, allowed_paths)


def _check_destination(sink: SinkSpec) -> None:
    if sink.url_noun:
        for url in sink.addresses:
            if not url.startswith(("http://", "https://")):
                raise DecodeError(f"invalid {sink.url_noun} URL '{clip(url)}': must start with http:// or https://")
    if isinstance(sink, Kafka) and not sink.addresses:
        raise DecodeError(f"kafka sink: no valid broker addresses in '{clip(sink.brokers)}'")


def _check_rest(sink: SinkSpec, allowed_paths: tuple[Path, ...]) -> None:
    match sink:
        case Kafka(sasl=sasl) if sasl is not None and sasl.mechanism not in _SASL_MECHANISMS:
            raise DecodeError(
                f"unsupported SASL mechanism: '{clip(sasl.mechanism)}' "
                "(expected PLAIN, SCRAM-SHA-256, or SCRAM-SHA-512)"
            )
        case File(path=path):
            check_path(path, allowed_paths)


def _check_delivery(sink: SinkSpec) -> None:
    try:
        if sink.max_buffer_age is not None:
            duration_or_zero_us(sink.max_buffer_age)
        if sink.retry is not None:
            _check_retry(sink.retry)
    except DurationError as exc:
        raise DecodeError(str(exc)) from exc


def _check_retry(retry: Retry) -> None:
    if retry.max_attempts == 0:
        raise DecodeError("retry max_attempts must be at least 1")
    if duration_us(retry.max_backoff) < duration_us(retry.initial_backoff):
        raise DecodeError(
            f"retry max_backoff ({clip(retry.max_backoff)}) must be >= initial_backoff ({clip(retry.initial_backoff)})"
        )
