"""What the kafka sink tells its library.

Source: docs/sinks.md, "Kafka"; docs.confluent.io, librdkafka, "Configuration properties".
"""

import os
import ssl
from typing import Any, Final

from common.errors import SinkOpenError, os_error_text
from common.files import open_parent
from common.plan import FileAccess
from common.specs import Kafka, KafkaTls
from worker.sinks.resolve import CONNECT_SECS

ACKNOWLEDGE_SECS: Final = CONNECT_SECS
"""How long a record may wait for its broker and for the answer."""

_MOST_RECORDS: Final = 1_000_000
_MOST_RECORD_BYTES: Final = 1_000_000_000
_LONGEST_RECONNECT_MS: Final = 1000
_LINGER_MS: Final = 1
"""How long the library gathers records for one request of its own.

PERF: at full speed several records of 64 KiB then share a request and an answer; one by one each of them woke the
library's threads three times, which was measured to cost a fifth of what a worker delivers.
"""
_WARNINGS: Final = 4
"""The level of syslog up to which the library's lines are passed on."""


def settings_of(spec: Kafka, access: FileAccess) -> dict[str, Any]:
    """Return the settings of the library for a sink.

    Raises:
        SinkOpenError: the certificates cannot be used.
    """
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(spec.addresses),
        "client.id": "sondad",
        "acks": "all",
        # The `retry` block is the only one that tries again.
        "retries": 0,
        "enable.idempotence": False,
        "linger.ms": _LINGER_MS,
        "message.timeout.ms": int(ACKNOWLEDGE_SECS * 1000),
        "message.max.bytes": _MOST_RECORD_BYTES,
        "queue.buffering.max.messages": _MOST_RECORDS,
        "compression.type": spec.compression,
        # Where the clients of other languages put the same key.
        "partitioner": "murmur2_random",
        "reconnect.backoff.max.ms": _LONGEST_RECONNECT_MS,
        "socket.nagle.disable": True,
        "log.connection.close": False,
        "enable.metrics.push": False,
        "log_level": _WARNINGS,
    }
    uses_tls = spec.tls is not None and spec.tls.enabled
    if spec.tls is not None and uses_tls:
        settings |= _tls_settings(spec.tls, access)
    if spec.sasl is not None:
        settings |= {
            "sasl.mechanisms": spec.sasl.mechanism,
            "sasl.username": spec.sasl.username,
            "sasl.password": spec.sasl.password,
        }
    protocol = "SSL" if uses_tls else "PLAINTEXT"
    settings["security.protocol"] = protocol if spec.sasl is None else f"SASL_{protocol}"
    return settings


def _tls_settings(tls: KafkaTls, access: FileAccess) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if tls.ca_cert is None:
        # The library's own OpenSSL knows no place of this system; it looks where distributions keep their authorities.
        settings["ssl.ca.location"] = os.environ.get("SSL_CERT_FILE") or "probe"
    else:
        settings["ssl.ca.pem"] = _authorities(tls.ca_cert, access)
    if tls.client_cert is not None and tls.client_key is not None:
        settings["ssl.certificate.pem"] = _text_of(tls.client_cert, "client certificate", access)
        settings["ssl.key.pem"] = _text_of(tls.client_key, "client key", access)
    return settings


def _text_of(path: str, what: str, access: FileAccess) -> str:
    try:
        with os.fdopen(open_parent(path, access, writes=False).open(os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return file.read().decode("ascii", "replace")
    except OSError as exc:
        raise SinkOpenError(f"kafka sink: failed to read {what} file '{path}': {os_error_text(exc)}") from exc


def _authorities(path: str, access: FileAccess) -> str:
    """Return a file of certificates.

    Raises:
        SinkOpenError: it cannot be read, or holds none to trust.
    """
    text = _text_of(path, "CA cert", access)
    if ssl.PEM_HEADER not in text:
        raise SinkOpenError(f"kafka sink: no valid certificates found in CA cert file '{path}'")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as exc:
        cause = getattr(exc, "reason", None) or exc
        raise SinkOpenError(f"kafka sink: failed to parse certificate in CA cert file '{path}': {cause}") from exc
    if not context.get_ca_certs():
        raise SinkOpenError(f"kafka sink: no parsable trust anchors in CA cert file '{path}'")
    return text
