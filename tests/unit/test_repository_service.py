"""The service unit: readable, hardened, and in step with the daemon's own limits."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from supervisor.host.daemon_address import API_KEY_VARIABLE
from supervisor.settings import parse_settings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "sondad.service"
CONFIG = ROOT / "systemd" / "sondad.yaml"
HARDENING = {
    "CapabilityBoundingSet": "",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectSystem": "strict",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
}


def settings_of(unit: Path) -> dict[str, dict[str, list[str]]]:
    """Return section → setting → its values in order; a setting may stand several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            sections[section] = {}
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            sections[section].setdefault(name, []).append(value)
    return sections


def test_the_unit_has_its_sections() -> None:
    """It can be started and enabled."""
    assert set(settings_of(UNIT)) == {"Unit", "Service", "Install"}


@pytest.mark.parametrize(("setting", "value"), HARDENING.items())
def test_the_service_is_hardened(setting: str, value: str) -> None:
    """What the daemon does not need it may not do."""
    assert settings_of(UNIT)["Service"][setting] == [value]


def test_workers_may_become_less_urgent() -> None:
    """The filter that denies all changes of resources is followed by what workers ask for."""
    *_, denied, allowed = settings_of(UNIT)["Service"]["SystemCallFilter"]
    assert "~" in denied
    assert set(allowed.split()) == {"setpriority", "sched_setattr", "sched_setaffinity"}


def test_the_service_is_not_open_by_accident() -> None:
    """As delivered it listens on loopback, as a user of its own, with its key in a file others cannot read."""
    service = settings_of(UNIT)["Service"]
    assert "bind: 127.0.0.1\n" in CONFIG.read_text()
    assert service["User"] == ["sondad"]
    assert service["EnvironmentFile"] == ["-/etc/sondad/sondad.env"]
    assert "SONDA_API_KEY" not in " ".join(service["ExecStart"] + service.get("Environment", []))


def test_the_service_starts_with_flags_that_exist() -> None:
    """The daemon's own argument parser accepts the unit's command line."""
    program, command, *flags = settings_of(UNIT)["Service"]["ExecStart"][0].split()
    assert Path(program).name == "sondad"
    assert command == "serve"
    assert flags == ["--config", "/etc/sondad/sondad.yaml"]
    settings = parse_settings("sondad serve", ["--config", str(CONFIG)], {API_KEY_VARIABLE: "abc"})
    assert (settings.host, settings.port, settings.state_dir) == ("127.0.0.1", 8080, Path("/var/lib/sondad/state"))


def test_a_wheel_gets_all_that_the_unit_needs(tmp_path: Path) -> None:
    """The documented commands leave a unit whose program is the wheel's and whose files are there."""
    (commands,) = re.findall(r"```sh\n(sed .*?)```", (ROOT / "docs" / "operating.md").read_text(), re.DOTALL)
    for directory in ("bin", "etc/systemd/system"):
        (tmp_path / directory).mkdir(parents=True)
    for name, script in {"sondad": f"echo {ROOT}/systemd", "systemctl": "", "systemd-sysusers": ""}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    subprocess.run(["sh", "-euc", commands.replace("/etc/", f"{tmp_path}/etc/")], env={"PATH": path}, check=True)
    (start,) = settings_of(tmp_path / "etc/systemd/system/sondad.service")["Service"]["ExecStart"]
    program, *_, config = start.split()
    assert program == "/opt/pipx/venvs/sondad/bin/sondad"
    assert Path(f"{tmp_path}{config}").read_text() == CONFIG.read_text()
    assert (tmp_path / "etc/sysusers.d/sondad.conf").is_file()


def test_every_flag_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag that --help lists has its row in the table of docs/operating.md."""
    with pytest.raises(SystemExit):
        parse_settings("sondad serve", ["--help"], {}, with_relay=True)
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--version"}
    assert flags > {"--port", "--bind"}
    rows = [line for line in (ROOT / "docs" / "operating.md").read_text().splitlines() if line.startswith("| `--")]
    assert flags == {re.findall(r"--[a-z-]+", row)[0] for row in rows}


def test_systemd_leaves_stopping_to_the_daemon() -> None:
    """SIGTERM goes to the main process alone, and systemd waits longer than the six seconds a stop may take."""
    service = settings_of(UNIT)["Service"]
    assert service["KillMode"] == ["mixed"]
    assert int(service["TimeoutStopSec"][0].removesuffix("s")) > 6


def test_systemd_keeps_the_service_going() -> None:
    """It restarts what failed but not what was started wrongly, and takes every line of the stdout sink."""
    service = settings_of(UNIT)["Service"]
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == ["2"]
    assert service["OOMPolicy"] == ["continue"]
    assert (service["LogRateLimitIntervalSec"], service["LogRateLimitBurst"]) == (["1s"], ["10000000"])


def test_readiness_and_watchdog_come_from_the_main_process() -> None:
    """The daemon says itself that it is ready and alive; nobody may say it in its place."""
    service = settings_of(UNIT)["Service"]
    assert service["Type"] == ["notify"]
    assert service["NotifyAccess"] == ["main"]
    assert int(service["WatchdogSec"][0].removesuffix("s")) >= 10


@pytest.mark.parametrize("kind", ["sysusers", "tmpfiles"])
def test_user_and_directories_belong_to_the_service(kind: str) -> None:
    """Every line of the snippets is about this service."""
    lines = [
        line for line in (ROOT / "systemd" / f"sondad.{kind}").read_text().splitlines() if not line.startswith("#")
    ]
    assert lines
    assert all("sondad" in line for line in lines)
