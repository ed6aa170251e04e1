"""Errors of the Kafka library in the words of users.

Source: docs.confluent.io, librdkafka, "Error codes"; kafka.apache.org, "Kafka protocol guide", "Error codes".
"""

import errno
import os
import re
from typing import Final

from confluent_kafka import KafkaError

_PLACE: Final = re.compile(r"(?:\w+://)?(?P<broker>[^\s/]+)/(?:bootstrap|-?\d+): (?P<text>.*)", re.DOTALL)
_AFTER: Final = re.compile(r" \(after \d+ms in state \w+(?:, \d+ identical error\(s\) suppressed)?\)$")
_CONNECT: Final = re.compile(r"Connect to \S+ failed: ")
_RESOLVE: Final = re.compile(r"Failed to resolve '[^']*': ")
_THREAD: Final = re.compile(r"\w+ \[[^]]*\] (?:\[thrd:[^]]*\]: )?")
_NUMBERS: Final = {os.strerror(number): number for number in errno.errorcode}

_UNSTORED: Final = frozenset(
    {
        KafkaError._PURGE_QUEUE,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
    }
)
"""Local errors of records that no broker has seen."""
_MAYBE_STORED: Final = frozenset(
    {KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.UNKNOWN}
)
"""Answers of brokers that leave open whether the record is stored."""
_PASSING: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE, KafkaError._UNKNOWN_TOPIC}
)
_TLS_WORDS: Final = (
    (
        re.compile("certificate verify failed"),
        "the certificate cannot be verified: untrusted authority, or another host's name",
    ),
    (re.compile("alert (?:bad certificate|certificate required)"), "the broker asks for a certificate that it trusts"),
    (re.compile("PLAINTEXT broker listener|Disconnected.* in state SSL_HANDSHAKE"), "the receiver does not speak TLS"),
)
_VAGUE: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT})
_WORDS: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "no such topic or partition",
    KafkaError._UNKNOWN_TOPIC: "no such topic or partition",
    KafkaError._UNKNOWN_PARTITION: "no such topic or partition",
    KafkaError.MSG_SIZE_TOO_LARGE: "the record is larger than the broker takes (max.message.bytes)",
    KafkaError.RECORD_LIST_TOO_LARGE: "the record is larger than a segment of the topic",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not write to the topic",
    KafkaError.NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than the topic asks for (min.insync.replicas)",
    KafkaError._MSG_TIMED_OUT: "no acknowledgement in time",
    KafkaError._TRANSPORT: "the connection broke before the acknowledgement",
}


def cause_of(error: KafkaError) -> str:
    """Return what went wrong, without the library's own addenda."""
    words = _WORDS.get(error.code())
    place = _PLACE.fullmatch(error.str())
    if place is None:
        return words or error.str()
    tls_words = next((words for said, words in _TLS_WORDS if said.search(place["text"])), None)
    text = tls_words or _AFTER.sub("", place["text"])
    text = _RESOLVE.sub("failed to lookup address information: ", _CONNECT.sub("", text))
    number = _NUMBERS.get(text)
    return f"{place['broker']}: {text}" if number is None else f"{place['broker']}: {text} (os error {number})"


def broker_of(error: KafkaError) -> str:
    """Return which broker an error concerns; empty for none."""
    place = _PLACE.fullmatch(error.str())
    return "" if place is None else place["broker"]


def is_in_doubt(error: KafkaError) -> bool:
    """Say whether a record that failed so may be stored nevertheless."""
    code = error.code()
    return code in _MAYBE_STORED or (code < 0 and code not in _UNSTORED)


def says_little(error: KafkaError) -> bool:
    """Say whether the newest error of a connection tells more."""
    return error.code() in _VAGUE


def may_come(error: KafkaError) -> bool:
    """Say whether a topic with this error may exist a little later."""
    return error.code() in _PASSING


def line_of(message: str) -> str:
    """Return a log line of the library without names of its parts."""
    return _AFTER.sub("", _THREAD.sub("", message, count=1))
