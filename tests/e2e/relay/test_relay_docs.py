"""The walk-through of the relay's page, and the files shipped for systemd."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

from supervisor.relay.config.reader import load

ROOT = Path(__file__).parents[3]


def test_the_walk_through_works_as_written(tmp_path: Path) -> None:
    """All its commands in one shell of a fresh clone, with the outcomes that the text promises."""
    page = (ROOT / "docs/relay.md").read_text()
    script = "set -e\n" + "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    programs = Path(sys.executable).parent
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(programs)
    path = ":".join(entry for entry in os.environ["PATH"].split(":") if Path(entry) != programs)
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    for promised in (
        "HTTP/1.1 202 Accepted",
        "metric name urn:cpu:load is not valid for check urn:fs:usage",
        "status must be one of: ok,warn,error",
        '"message":"five errors"',
        'sondad_relay_check_status{client="me",check="123"} 1',
        '{"status":"OK","problems":[]}',
    ):
        assert promised in ended.stdout
    assert not (tmp_path / "relay-demo/run/clients/me.sock").exists()


def test_the_example_configuration_is_valid() -> None:
    """Every client of `examples/relay.yaml` could be served."""
    config = load(str(ROOT / "examples/relay.yaml"))
    assert [client.fault for client in config.clients.values()] == [None] * len(config.clients)


def test_the_unit_gives_the_relay_what_it_needs() -> None:
    """Readiness by message, SIGTERM to the main process only, more time than the drain takes, its directories."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "systemd/sondad-relay.service")
    service = dict(unit["Service"])
    config = load(str(ROOT / "examples/relay.yaml"))
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > config.relay.drain_timeout_secs
    assert service["RestartPreventExitStatus"] == "2"
    assert f"/run/{service['RuntimeDirectory']}" == config.relay.run_dir
    assert f"/var/lib/{service['StateDirectory']}" == config.relay.state_dir
    snippet = (ROOT / "systemd/sondad-relay.tmpfiles.conf").read_text()
    assert f"d {config.relay.run_dir} 0755 root root -\n" in snippet
    assert f"d {config.relay.state_dir} 0700 root root -\n" in snippet
