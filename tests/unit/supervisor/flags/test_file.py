"""The configuration file of the control plane: it says what flags say, and every mistake has its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.errors import FlagFileError
from supervisor.flags.file import exposed_secret, words_of
from supervisor.flags.parser import build_parser
from supervisor.settings import Settings, parse_settings

PROGRAM = "sondad serve"
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "port": st.integers(0, 65535),
    "bind": st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]),
    "api_key": st.text(st.sampled_from("abcXYZ019-_.#:"), min_size=1),
    "allow_path": st.just(["/tmp", "/"]),
    "allow_env": st.lists(st.sampled_from(["HOME", "APP_*"]), min_size=1),
    "allow_host": st.lists(st.sampled_from(["dash.example", "other"]), min_size=1),
    "allow_origin": st.just(["https://dash.example:3000"]),
    "catalog": st.just("/tmp"),
    "builtin_packs": st.booleans(),
    "autostart": st.booleans(),
    "workers": st.integers(1, 64),
    "worker_memory": st.integers(0, 4096),
    "max_scenarios": st.integers(0, 100),
    "max_inflight_requests": st.integers(1, 100),
    "request_timeout": st.integers(1, 100),
    "max_body_bytes": st.integers(0, 10**9),
    "wakeups": st.integers(1, 10**6),
    "max_slack": st.integers(0, 60_000),
    "isolation": st.sampled_from(["process", "shared", "auto"]),
    "per_worker": st.integers(1, 100),
    "state_dir": st.just("/var/lib/sondad/serve"),
    "on_restart": st.sampled_from(["hole", "fill", "end"]),
    "fresh": st.booleans(),
    "relay": st.just("/etc/sondad/relay.yaml"),
    "log_level": st.sampled_from(["info", "warn,sonda_server::http=debug"]),
    "log_format": st.sampled_from(["text", "json"]),
}


def parser() -> Any:
    return build_parser(PROGRAM, with_relay=True)


def settings(*arguments: str) -> Settings:
    return parse_settings(PROGRAM, arguments, {}, with_relay=True)


def flags(values: dict[str, Any]) -> list[str]:
    """The same on a command line."""
    words = []
    for key, value in values.items():
        option = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]
    return words


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to be written."""
    return tmp_path_factory.mktemp("flags") / "sondad.yaml"


def faults(file: Path, text: str) -> list[str]:
    """What is wrong with a text, without the path."""
    file.write_text(text)
    with pytest.raises(FlagFileError) as caught:
        words_of(file, parser())
    return [fault.removeprefix(str(file)) for fault in caught.value.faults]


def test_every_flag_has_its_key() -> None:
    """Whatever the command line takes can stand in the file, but for the file itself, help and version."""
    known = {action.option_strings[-1][2:].replace("-", "_") for action in parser()._actions}
    assert known - {"help", "version", "config"} == {*VALUES, "relay_admin"}


@given(values=st.fixed_dictionaries({}, optional=VALUES))
def test_a_file_says_what_flags_say(values: dict[str, Any], file: Path) -> None:
    """Any values of any flags: the settings are those of the same command line."""
    file.write_text(yaml.safe_dump(values))
    by_file, by_flags = settings("--config", str(file)), settings(*flags(values))
    for name in Settings.__slots__:
        if name != "config_file":
            assert getattr(by_file, name) == getattr(by_flags, name), name


def test_flags_win(file: Path) -> None:
    """A flag replaces what the file says of it, lists included; what excludes it does not count either."""
    file.write_text("port: 9000\nallow_host: [a, b]\nworkers: 3\nrelay: /etc/relay.yaml\n")
    given = settings("--config", str(file), "--port=1", "--allow-host", "c", "--relay-admin", "/run/admin.sock")
    assert (given.port, given.allowed_hosts, given.workers) == (1, ("c",), 3)
    assert (given.relay_config, given.relay_admin) == (None, "/run/admin.sock")


def test_every_mistake_is_told_with_its_place(file: Path) -> None:
    """Unknown keys with what was meant, wrong values with what was expected, keys that stand twice or not together."""
    text = "port: 70000\nprot: 1\nautostart: maybe\nbind:\nworkers: [1, 2]\nport: 1\nrelay: /a\nrelay_admin: /b\n"
    assert faults(file, text) == [
        ":1:7: port: expected a whole number, 0 to 65535, found '70000'",
        ":2:1: unknown key `prot`; did you mean `port`?",
        ":3:12: autostart: expected true or false",
        ":4:6: bind: expected one value",
        ":5:10: workers: expected one value",
        ":6:1: `port` stands twice",
        ": `relay` and `relay_admin` exclude each other",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1, 2", ":2:1: did not find expected ',' or ']' while parsing a flow sequence"),
        ("- port", ": expected keys with values, such as `port: 9000`"),
        ("? [a]\n: b\n", ":1:3: unknown key ``"),
    ],
)
def test_what_is_no_such_file_is_refused(file: Path, text: str, fault: str) -> None:
    """Text that is not YAML, or not keys with values."""
    (found,) = faults(file, text)
    assert found.startswith(fault)


def test_an_empty_file_says_nothing(file: Path) -> None:
    """Comments alone are no mistake."""
    file.write_text("# port: 9000\n")
    assert words_of(file, parser()) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(FlagFileError, match=r"none\.yaml: the configuration file cannot be read: No such file"):
        words_of(tmp_path / "none.yaml", parser())


def test_a_key_that_everybody_can_read_is_noticed(file: Path) -> None:
    """Only where the file has one."""
    file.write_text("api_key: abc\n")
    file.chmod(0o644)
    assert "chmod 640" in (exposed_secret(file) or "")
    file.chmod(0o640)
    assert exposed_secret(file) is None
    file.write_text("port: 1\n")
    file.chmod(0o644)
    assert exposed_secret(file) is None
