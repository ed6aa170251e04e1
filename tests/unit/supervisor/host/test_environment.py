"""What posted bodies and child processes see of the daemon's environment."""

import pytest

from common.clock import SystemClock
from supervisor.compiler import BodyFormat
from supervisor.host.environment import passed_on, readable
from supervisor.intake.intake import Intake
from supervisor.settings import parse_settings
from tests.support.http_app import AppClient
from tests.support.memory_plane import MemoryControlPlane

ENVIRONMENT = {
    "SONDA_VAR_RATE": "10",
    "SONDA_VAR_KEY": "not a secret",
    "VICTORIAMETRICS_URL": "http://vm:8428",
    "HOSTNAME": "web",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "GITHUB_TOKEN": "t0ken",
    "DATABASE_URL": "postgres://h/d",
    "REDIS_URL": "redis://:pa55@h",
    "SENTRY_DSN": "https://h/1",
    "my_password": "pa55",
    "SONDA_API_KEY": "sesame",
}
SECRET = {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL", "REDIS_URL", "SENTRY_DSN", "my_password"}


@pytest.mark.parametrize(
    ("program", "flags", "names"),
    [
        ("sondad serve", [], {"SONDA_VAR_RATE", "SONDA_VAR_KEY"}),
        ("sondad serve", ["--allow-env", "HOSTNAME"], {"SONDA_VAR_RATE", "SONDA_VAR_KEY", "HOSTNAME"}),
        (
            "sondad serve",
            ["--allow-env", "*_URL", "--allow-env", "GITHUB_*"],
            {"SONDA_VAR_RATE", "SONDA_VAR_KEY", "VICTORIAMETRICS_URL", "DATABASE_URL", "REDIS_URL", "GITHUB_TOKEN"},
        ),
        ("sondad serve", ["--allow-env", "*"], ENVIRONMENT.keys() - {"SONDA_API_KEY"}),
        ("sonda-server", [], ENVIRONMENT.keys() - SECRET - {"SONDA_API_KEY"}),
        ("sonda-server", ["--allow-env", "HOSTNAME"], {"SONDA_VAR_RATE", "SONDA_VAR_KEY", "HOSTNAME"}),
    ],
)
def test_what_posted_bodies_read(program: str, flags: list[str], names: set[str]) -> None:
    """A list for one program, all but secrets for the other, which a list narrows down; never the key."""
    settings = parse_settings(program, flags, ENVIRONMENT)
    assert settings.posted_environment.keys() == names
    assert settings.environment.keys() == ENVIRONMENT.keys() - {"SONDA_API_KEY"}


def test_no_answer_tells_whether_a_variable_is_set() -> None:
    """One that may not be read and one that is not there are refused with the same words, which name the flag."""
    without_key = {name: value for name, value in ENVIRONMENT.items() if name != "SONDA_API_KEY"}
    client = AppClient(MemoryControlPlane(), parse_settings("sondad serve", [], without_key))
    body = "version: 2\nname: up\nrate: 1\nlabels: {a: '${%s}'}\ngenerator: {type: constant, value: 1}\n"
    there, absent = (client.post_yaml(body % name) for name in ("GITHUB_TOKEN", "NOTHING_HERE"))
    assert there.status_code == 400
    assert there.text.replace("GITHUB_TOKEN", "NOTHING_HERE") == absent.text
    assert "--allow-env" in there.json["faults"][0]["hint"]
    assert client.post_yaml(body % "SONDA_VAR_RATE").status_code == 201
    assert client.post_yaml(body % "GITHUB_TOKEN:-x").status_code == 201


def test_files_of_the_catalog_read_everything() -> None:
    """They are the operator's own."""
    settings = parse_settings("sondad serve", [], ENVIRONMENT)
    intake = Intake(MemoryControlPlane(), settings, SystemClock())
    body = b"version: 2\nname: up\nrate: 1\nlabels: {a: '${HOSTNAME}'}\ngenerator: {type: constant, value: 1}\n"
    assert intake.compile(body, BodyFormat.YAML, is_posted=False).entries[0].labels == {"a": "web"}


@pytest.mark.parametrize("text", ["", "A B", "${A}", "A=1"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    """With exit code 2."""
    with pytest.raises(SystemExit) as caught:
        parse_settings("sondad serve", ["--allow-env", text], {})
    assert caught.value.code == 2


def test_child_processes_get_what_they_need_to_run() -> None:
    """Paths, languages, certificates; nothing of the daemon's own or of other programs."""
    needed = {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC", "PYTHONSAFEPATH": "1", "SSL_CERT_FILE": "/c"}
    assert passed_on(ENVIRONMENT | needed) == needed


def test_the_default_of_readable_is_the_prefix() -> None:
    """Upper case alone, as names are case-sensitive."""
    assert readable({"sonda_var_a": "1", "SONDA_VAR_a": "2"}, (), all_but_secrets=False) == {"SONDA_VAR_a": "2"}
