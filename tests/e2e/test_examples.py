"""Every file under examples/ does what it says: it is accepted as it stands, runs, and delivers."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import StartServer
from tests.support.collector import Collector
from tests.support.mock_kafka import MockKafka
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver

EXAMPLES = Path(__file__).parents[2] / "examples"
# Receivers of remote write 2.0 say how much they have written.
WRITTEN = Answer(204, headers=("X-Prometheus-Remote-Write-Samples-Written: 1000",))
# The relay has its own configuration format.
SCENARIO_FILES = sorted(path for path in EXAMPLES.rglob("*.yaml") if path.name != "relay.yaml")


@pytest.fixture
def receivers() -> Iterator[dict[str, str]]:
    """TCP, UDP, HTTP, gRPC and Kafka peers that read all they get, as the variables that the examples name them by."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        Receiver(lambda _: WRITTEN) as http,
        Collector() as collector,
        MockKafka() as kafka,
    ):
        udp.bind(("127.0.0.1", 0))

        def drain() -> None:
            while True:
                try:
                    connection, _ = tcp.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=drain)
        thread.start()
        yield {
            "SONDA_VAR_EXAMPLE_TCP": f"127.0.0.1:{tcp.getsockname()[1]}",
            "SONDA_VAR_EXAMPLE_UDP": f"127.0.0.1:{udp.getsockname()[1]}",
            "SONDA_VAR_EXAMPLE_PUSH": http.url,
            "SONDA_VAR_EXAMPLE_LOKI": http.url,
            "SONDA_VAR_EXAMPLE_REMOTE_WRITE": http.url,
            "SONDA_VAR_EXAMPLE_OTLP_HTTP": http.url,
            "SONDA_VAR_EXAMPLE_OTLP_GRPC": collector.endpoint,
            "SONDA_VAR_EXAMPLE_KAFKA": kafka.address,
        }
        tcp.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def test_every_example_runs(start_server: StartServer, tmp_path: Path, receivers: dict[str, str]) -> None:
    """One daemon accepts them all as they stand; whatever runs delivers what its rate asks for, without an error."""
    server = start_server(
        "--builtin-packs",
        *("--allow-path", str(tmp_path), "--allow-path", str(EXAMPLES)),
        environment={"SONDA_VAR_EXAMPLE_DIR": str(tmp_path), "SONDA_VAR_EXAMPLES": str(EXAMPLES), **receivers},
    )
    assert len(SCENARIO_FILES) > 30
    launched = {path: server.launch(path.read_text()) for path in SCENARIO_FILES}
    for path, rows in launched.items():
        assert len(rows) >= len(yaml.safe_load(path.read_text())["scenarios"]), path
        emitting = 0
        for row in rows:
            wait_until(lambda row=row: server.stats(row["id"])["uptime_secs"] > 1, f"{path} ran for a second")
            stats = server.stats(row["id"])
            if stats["state"] == "running":
                stats = server.wait_for_events(row["id"], max(1, min(int(stats["target_rate"]), 1000) // 2))
            # A busy machine may come to a short one only when it has finished.
            emitting += stats["total_events"] > 0
            assert stats["errors"] == 0, path
        assert emitting, path
        for row in rows:
            assert server.delete(f"/scenarios/{row['id']}").json()["status"] == "stopped"
