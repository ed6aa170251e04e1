"""A broker within the Kafka library, in a process of its own: a partition keeps its newest five megabytes."""

import signal
import subprocess
import sys
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from tests.support.polling import wait_until
from tests.support.processes import freeze

_BROKER = """
import sys, time
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
(broker,) = producer.list_topics(timeout=10).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
time.sleep(3600)
"""


class MockKafka:
    """One broker; topics of four partitions come into being when they are asked for.

    Attributes:
        address: where it listens.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _BROKER], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def __enter__(self) -> "MockKafka":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it without a word to anybody; safe twice."""
        self._process.kill()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def pause(self) -> None:
        """Let it hang until it is killed or resumed; it answers nobody any more."""
        freeze(self._process.pid)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def records(self, topic: str, partitions: int = 4) -> list[Message]:
        """Return what the topic holds, by partition and offset."""
        return records_at({"bootstrap.servers": self.address}, topic, partitions)


def records_at(settings: dict[str, Any], topic: str, partitions: int) -> list[Message]:
    """Return what a topic holds, by partition and offset."""
    consumer = Consumer({**settings, "group.id": "tests", "enable.auto.commit": False, "enable.partition.eof": False})
    try:
        bounds: dict[int, tuple[int, int]] = {}

        def knows_bounds() -> bool:
            try:
                for number in range(partitions):
                    bounds[number] = consumer.get_watermark_offsets(TopicPartition(topic, number), 5)
            except KafkaException:
                return False
            return True

        wait_until(knows_bounds, f"{topic} tells its bounds", 30)
        consumer.assign([TopicPartition(topic, number, low) for number, (low, _) in bounds.items()])
        found: list[Message] = []

        def has_all() -> bool:
            found.extend(message for message in consumer.consume(10_000, 0.5) if message.error() is None)
            return len(found) >= sum(high - low for low, high in bounds.values())

        wait_until(has_all, f"all records of {topic}", 60)
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition(), message.offset()))
