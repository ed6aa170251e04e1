"""A real Kafka: one broker that is its own controller, with plain, TLS and SASL listeners."""

import contextlib
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.backends import backend
from tests.support.backends.tls_proxy import certify
from tests.support.mock_kafka import records_at
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import freeze

FETCH_SCRIPT = Path(__file__).with_name("fetch-kafka")
FETCH_SECS = 300
START_SECS = 90
_CLUSTER = "c29uZGFkLXRlc3RzLTAwMA"
PARTITIONS = 4
USER, PASSWORD = "sondad", "pw-of-sondad"

# What docs/backends.md shows, with a listener and a mechanism more, and each of its own.
_DOCUMENTED = (
    (Path(__file__).parents[3] / "docs" / "backends.md")
    .read_text()
    .partition("\n## Kafka\n")[2]
    .partition("```properties\n")[2]
    .partition("```")[0]
)
_MORE = f"""\
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{USER}="{PASSWORD}";
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config={{scram}}
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config={{scram}}
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={{scram}}
group.initial.rebalance.delay.ms=0
num.partitions={PARTITIONS}
""".format(scram="org.apache.kafka.common.security.scram.ScramLoginModule required;")


@dataclass
class Ports:
    """One for each listener."""

    plain: int
    tls: int
    sasl: int
    sasl_tls: int
    controller: int


class Kafka:
    """One broker with an empty store of its own; topics come into being when they are asked for.

    Args:
        directory: its own.
        settings: of the broker, beside those that it needs.

    Attributes:
        address: of the plain listener.
        authority: the certificate that signed the broker's.
    """

    def __init__(self, directory: Path, **settings: str) -> None:
        self.ports = Ports(*(free_port() for _ in range(5)))
        self.address = f"127.0.0.1:{self.ports.plain}"
        self.authority = directory / "authority.pem"
        self._directory = directory
        self._log = directory / "kafka.log"
        # What a short-lived process with little data needs; without it half of its start is the compiler's.
        self._command = [backend("java"), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{_libraries()}/*"]
        certify(directory, "IP:127.0.0.1")
        keystore = directory / "keystore.pem"
        keystore.write_text("".join((directory / name).read_text() for name in ("server.key", "server.pem")))
        self._configuration = directory / "server.properties"
        ports = self.ports
        own = {
            "SASL_SSL://127.0.0.1:9094": f"SASL_SSL://127.0.0.1:{ports.sasl_tls},SASL_PLAINTEXT://127.0.0.1:{ports.sasl}",
            "SASL_SSL:SASL_SSL": "SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "PLAIN,SCRAM-SHA-512": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            'user_load="…"': f'user_{USER}="{PASSWORD}"',
            "/etc/kafka/broker.pem": str(keystore),
            "/var/lib/kafka": str(directory / "data"),
            "127.0.0.1:9092": f"127.0.0.1:{ports.plain}",
            "127.0.0.1:9093": f"127.0.0.1:{ports.tls}",
            "127.0.0.1:9095": f"127.0.0.1:{ports.controller}",
        }
        configuration = _DOCUMENTED
        for documented, text in own.items():
            assert documented in configuration
            configuration = configuration.replace(documented, text)
        more = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._configuration.write_text(configuration + _MORE + more)
        users = [
            f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._configuration), *users)
        self.start()

    def __enter__(self) -> "Kafka":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on what it has stored before, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "kafka.Kafka", self._configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, "Kafka answers", START_SECS)

    def kill(self) -> None:
        """End it at once, as a loss of power does; safe twice."""
        self._process.kill()
        self._process.wait(30)

    def pause(self) -> None:
        """Let it hang until `resume`."""
        freeze(self._process.pid)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        admin = self.admin()
        (made,) = admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values()
        made.result(30)

    def delete_topic(self, name: str) -> None:
        admin = self.admin()
        (deleted,) = admin.delete_topics([name]).values()
        deleted.result(30)

    def records(self, topic: str, partitions: int = PARTITIONS) -> list[Message]:
        """Return what the topic holds, by partition and offset."""
        return records_at({"bootstrap.servers": self.address}, topic, partitions)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(KafkaException):
            return bool(self.admin().list_topics(timeout=2).brokers)
        return False

    def _java(self, *arguments: str) -> None:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def _libraries() -> str:
    """Return the folder of the broker's libraries, which are fetched when they are not there."""
    if shutil.which("mvn") is None:
        pytest.skip("Maven is not installed, which fetches Kafka; Debian has no package of it")
    done = subprocess.run([FETCH_SCRIPT], stdout=subprocess.PIPE, text=True, timeout=FETCH_SECS, check=True)
    return done.stdout.strip()
