"""What the Kafka library says, in the words of users."""

import pytest
from confluent_kafka import KafkaError

from worker.sinks.kafka_causes import broker_of, cause_of, is_in_doubt, line_of


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (
            KafkaError._TRANSPORT,
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 3ms in state "
                "CONNECT, 1 identical error(s) suppressed)"
            ),
            "127.0.0.1:1: Connection refused (os error 111)",
        ),
        (
            KafkaError._RESOLVE,
            (
                "nosuch.invalid:9092/7: Failed to resolve 'nosuch.invalid:9092': Name or service not known (after "
                "3ms in state CONNECT)"
            ),
            "nosuch.invalid:9092: failed to lookup address information: Name or service not known",
        ),
        (
            KafkaError._SSL,
            "ssl://[::1]:9/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: b",
            "[::1]:9: the certificate cannot be verified: untrusted authority, or another host's name",
        ),
        (
            KafkaError._TRANSPORT,
            "ssl://h:9/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            "h:9: the receiver does not speak TLS",
        ),
        (
            KafkaError._TRANSPORT,
            "ssl://h:9/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state SSL_HANDSHAKE)",
            "h:9: the receiver does not speak TLS",
        ),
        (
            KafkaError._AUTHENTICATION,
            (
                "sasl_ssl://h:9/bootstrap: SASL authentication error: Authentication failed: Invalid username or "
                "password (after 301ms in state AUTH_REQ)"
            ),
            "h:9: SASL authentication error: Authentication failed: Invalid username or password",
        ),
        (KafkaError.MSG_SIZE_TOO_LARGE, None, "the record is larger than the broker takes (max.message.bytes)"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, None, "no such topic or partition"),
        (KafkaError.INVALID_REQUIRED_ACKS, None, "Broker: Invalid required acks value"),
    ],
)
def test_causes(code: int, said: str | None, cause: str) -> None:
    """Without names of threads and states; errors of the operating system as everywhere."""
    assert cause_of(KafkaError(code) if said is None else KafkaError(code, said)) == cause


def test_the_broker_of_an_error() -> None:
    """Errors that concern none have none."""
    assert broker_of(KafkaError(KafkaError._TRANSPORT, "ssl://h:9/bootstrap: gone")) == "h:9"
    assert broker_of(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")) == ""


@pytest.mark.parametrize(
    ("code", "in_doubt"),
    [
        (KafkaError._TRANSPORT, True),
        (KafkaError._MSG_TIMED_OUT, True),
        (KafkaError._PURGE_INFLIGHT, True),
        (KafkaError._PURGE_QUEUE, False),
        (KafkaError._UNKNOWN_TOPIC, False),
        (KafkaError.REQUEST_TIMED_OUT, True),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, True),
        (KafkaError.NOT_ENOUGH_REPLICAS, False),
        (KafkaError.MSG_SIZE_TOO_LARGE, False),
        (KafkaError.NOT_LEADER_FOR_PARTITION, False),
    ],
)
def test_who_may_have_a_failed_record(code: int, in_doubt: bool) -> None:
    """A broker that refuses has not stored it; one that does not answer may have."""
    assert is_in_doubt(KafkaError(code)) is in_doubt


def test_log_lines_name_no_threads() -> None:
    """What remains is what happened."""
    said = "FAIL [rdkafka#producer-1] [thrd:h:1/bootstrap]: h:1/bootstrap: Disconnected (after 3ms in state UP)"
    assert line_of(said) == "h:1/bootstrap: Disconnected"
