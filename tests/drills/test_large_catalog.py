"""A daemon that starts hundreds of files by itself."""

from pathlib import Path

from tests.conftest import StartServer
from tests.support.catalog import wait_until_ready, write
from tests.support.polling import wait_until


def test_five_hundred_files_while_it_serves(start_server: StartServer, tmp_path: Path) -> None:
    """Readers are answered before the last file is started, and all are."""
    for number in range(500):
        write(tmp_path, f"s{number:03}")
    server = start_server("--catalog", str(tmp_path), "--autostart")
    first = server.get("/ready")
    assert first.status_code == 503
    assert first.json()["status"] == "in_progress"
    assert first.json()["autostart_expected"] == 500
    assert len(server.get("/scenarios").json()["scenarios"]) < 500
    assert wait_until_ready(server, 240)["autostart_started"] == 500
    assert len(server.get("/scenarios").json()["scenarios"]) == 500
    assert server.stop() == 0
    # All that are still there at the end of the time are killed; on a machine that is very busy these are some.
    assert len(server.log_lines("scenario task joined")) + len(server.log_lines("scenario task join failed")) == 500


def test_a_shutdown_interrupts_the_sweep(start_server: StartServer, tmp_path: Path) -> None:
    """It stops at a file boundary; every row that was launched is accounted for, and so is every file."""
    for number in range(1000):
        write(tmp_path, f"s{number:03}")
    server = start_server("--catalog", str(tmp_path), "--autostart")
    wait_until(lambda: len(server.log_lines("scenario launched")) >= 200, "200 scenarios are launched", 60)
    assert server.stop() == 0
    launched = len(server.log_lines("scenario launched"))
    assert (
        len(server.log_lines("scenario task joined")) + len(server.log_lines("scenario task join failed")) == launched
    )
    (line,) = server.log_lines("autostart:")
    assert f"stopped after starting {launched} of 1000 runnable catalog entries" in line
    assert f"started={launched} total=1000 remaining={1000 - launched}" in line
    assert not server.log_lines("failed to launch scenarios")
