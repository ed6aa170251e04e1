"""A daemon that starts the scenarios of its catalog by itself."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.catalog import wait_until_ready, write
from tests.support.live_server import COMMAND, START_SECS

PACKED = {"id": "p", "signal_type": "metrics", "pack": "link", "rate": 10, "sink": {"type": "memory"}}


def ends(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a daemon that must not start; returns its exit code and its last line on stderr."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONDA_")}
    ended = subprocess.run(
        [COMMAND, "--port", "0", *arguments],
        capture_output=True,
        timeout=START_SECS,
        env={**inherited, **environment},
        check=False,
    )
    assert ended.stdout == b""
    return ended.returncode, ended.stderr.decode().splitlines()[-1]


def test_the_catalog_is_started(start_server: StartServer, tmp_path: Path) -> None:
    """By the order of the names, one row a metric; packs of the catalog resolve; a broken file costs only itself."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    write(catalog, "beta", rows=2)
    write(catalog, "alpha", scenarios=[PACKED])
    broken = write(catalog, "gamma", version=1)
    pack = {"version": 2, "kind": "composable", "name": "link", "description": "d", "category": "c"}
    (catalog / "link.yaml").write_text(json.dumps(pack | {"metrics": [{"name": "up"}, {"name": "down"}]}))
    server = start_server("--catalog", str(catalog), "--autostart", "--api-key", "sesame")
    assert wait_until_ready(server) == {"status": "finished", "autostart_started": 2, "autostart_expected": 3}
    rows = server.get("/scenarios", headers={"Authorization": "Bearer sesame"}).json()["scenarios"]
    assert [row["name"] for row in rows] == ["up", "down", "m0", "m1"]
    (line,) = server.wait_for_log("autostart:")
    assert f"pack catalog enabled for POST /scenarios catalog={catalog}" in server.log()
    assert len(server.log_lines(f"origin={catalog}/beta.yaml")) == 2
    (skipped,) = server.log_lines("skipping catalog entry")
    assert f"{broken}: does not compile, skipping catalog entry origin={broken} reason=" in skipped
    assert "body is not a v2 scenario" in skipped
    assert "INFO" in line
    assert "autostart: started 2 of 3 runnable catalog entries started=2 total=3" in line
    assert server.stop() == 0
    assert len(server.log_lines("scenario task joined")) == 4
    assert len(server.log_lines("autostart:")) == 1


def test_the_environment_asks_for_it_too(start_server: StartServer, tmp_path: Path) -> None:
    """Variables do what the flags do; an empty catalog is finished at once."""
    (tmp_path / "catalog").mkdir()
    server = start_server(environment={"SONDA_CATALOG": str(tmp_path / "catalog"), "SONDA_AUTOSTART": "yes"})
    assert wait_until_ready(server) == {"status": "finished", "autostart_started": 0, "autostart_expected": 0}
    assert server.wait_for_log("autostart: started 0 of 0")


def test_without_autostart_the_log_does_not_speak_of_it(start_server: StartServer, tmp_path: Path) -> None:
    """A catalog alone starts nothing, and is not even read."""
    write(tmp_path, "same")
    (tmp_path / "other.yaml").write_text((tmp_path / "same.yaml").read_text())
    server = start_server("--catalog", str(tmp_path))
    assert server.get("/ready").json() == {
        "status": "not_configured",
        "autostart_started": 0,
        "autostart_expected": 0,
    }
    assert server.get("/scenarios").json() == {"scenarios": []}
    assert server.stop() == 0
    assert not server.log_lines("autostart:")


def test_gates_across_files_resolve_in_any_order(start_server: StartServer, tmp_path: Path) -> None:
    """A scenario that waits for one of a later file runs once that is there."""
    write(tmp_path, "zz")
    gate = {"ref": "e0", "scenario_name": "zz", "op": ">", "value": 0}
    waiting = {
        "id": "w",
        "signal_type": "metrics",
        "name": "waiting",
        "rate": 10,
        "duration": "1h",
        "generator": {"type": "constant", "value": 1.0},
        "sink": {"type": "memory"},
        "while": gate,
    }
    write(tmp_path, "aa", scenarios=[waiting])
    server = start_server("--catalog", str(tmp_path), "--autostart")
    assert wait_until_ready(server)["autostart_started"] == 2
    rows = server.get("/scenarios").json()["scenarios"]
    server.wait_for_state(rows[0]["id"], "running")


def test_the_sweep_competes_with_posts(start_server: StartServer, tmp_path: Path) -> None:
    """Places are limited for both; what finds none is said with its path."""
    write(tmp_path, "one")
    write(tmp_path, "two")
    server = start_server("--catalog", str(tmp_path), "--autostart", "--max-scenarios", "1")
    assert wait_until_ready(server) == {"status": "finished", "autostart_started": 1, "autostart_expected": 2}
    (line,) = server.wait_for_log("scenario cap reached")
    assert f"WARN sonda_server::intake::intake {tmp_path}/two.yaml: scenario cap reached needed=1" in line
    body = json.loads((tmp_path / "two.yaml").read_text())
    assert server.post(body).status_code == 429


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (("--autostart",), {}, 1, "Error: --autostart requires --catalog <DIR> (or SONDA_AUTOSTART requires"),
        ((), {"SONDA_AUTOSTART": "1"}, 1, "Error: --autostart requires --catalog <DIR>"),
        (("--catalog", "/nowhere"), {}, 1, "Error: --catalog /nowhere: does not exist or is not a directory"),
        (("--catalog", "/etc/passwd"), {}, 1, "Error: --catalog /etc/passwd: does not exist or is not a directory"),
        (("--autostart=yes", "--catalog", "/tmp"), {}, 2, "--autostart"),
        ((), {"SONDA_CATALOG": ""}, 2, "SONDA_CATALOG"),
    ],
)
def test_what_ends_the_start(arguments: tuple[str, ...], environment: dict[str, str], code: int, words: str) -> None:
    """No catalog, a wrong one, a wrong switch: the exit code and the words of each, no port announced."""
    found, line = ends(*arguments, **environment)
    assert (found, words in line) == (code, True), line


def test_a_catalog_of_two_equal_names_ends_the_start(tmp_path: Path) -> None:
    """Both files are named."""
    for stem in "ab":
        write(tmp_path, stem, scenario_name="same")
    code, line = ends("--catalog", str(tmp_path), "--autostart")
    assert code == 1
    assert line == (
        f"Error: --autostart: catalog {tmp_path} is not startable: catalog {tmp_path} contains duplicate entry name "
        f'"same": {tmp_path}/a.yaml and {tmp_path}/b.yaml'
    )
