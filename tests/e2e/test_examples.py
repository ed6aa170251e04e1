"""Every file under examples/ does what it says: it is accepted as it stands, runs, and delivers."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import StartServer
from tests.support.polling import wait_until
from tests.support.receiver import Receiver

ROOT = Path(__file__).parents[2]
# The relay has its own configuration format.
SCENARIO_FILES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name != "relay.yaml")


@pytest.fixture
def receivers() -> Iterator[dict[str, str]]:
    """TCP, UDP and HTTP peers that read all they get, as the variables that the examples name them by."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        Receiver() as http,
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
            "SONDAD_EXAMPLE_TCP": f"127.0.0.1:{tcp.getsockname()[1]}",
            "SONDAD_EXAMPLE_UDP": f"127.0.0.1:{udp.getsockname()[1]}",
            "SONDAD_EXAMPLE_PUSH": http.url,
            "SONDAD_EXAMPLE_LOKI": http.url,
        }
        tcp.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("path", SCENARIO_FILES, ids=lambda path: path.stem)
def test_an_example_runs(start_server: StartServer, tmp_path: Path, receivers: dict[str, str], path: Path) -> None:
    """All its entries are launched; each runs for a second and delivers what its rate asks for, without an error."""
    server = start_server("--allow-path", str(tmp_path), environment={"SONDAD_EXAMPLE_DIR": str(tmp_path), **receivers})
    document = yaml.safe_load(path.read_text())
    rows = server.launch(path.read_text())
    assert len(rows) == len(document["scenarios"])
    for entry, row in zip(document["scenarios"], rows, strict=True):
        if "after" not in entry and entry.get("phase_offset", "0s") == "0s":
            wait_until(lambda row=row: server.stats(row["id"])["uptime_secs"] > 1, "a second has passed")
            rate = entry.get("rate") or document["defaults"]["rate"]
            stats = server.wait_for_events(row["id"], max(1, min(int(rate), 1000) // 2))
            assert stats["state"] == "running"
        assert server.stats(row["id"])["errors"] == 0
        assert server.delete(f"/scenarios/{row['id']}").json()["status"] == "stopped"
