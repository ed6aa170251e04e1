"""Flags and environment of the control plane."""

from pathlib import Path

import pytest

from supervisor.host.limits import usable_cores
from supervisor.settings import Settings, parse_settings


def _parse(*arguments: str, **environment: str) -> Settings:
    return parse_settings("sonda-server", arguments, environment)


def test_defaults() -> None:
    """Without arguments the daemon listens on loopback, port 8080, with the documented limits."""
    settings = _parse()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.api_key is None
    assert not settings.api_key_is_empty
    assert settings.workers == min(usable_cores(), 16)
    assert settings.max_inflight_requests == 4 * settings.workers
    assert settings.max_scenarios == 0
    assert settings.request_timeout_secs == 30
    assert settings.max_body_bytes == 1048576
    assert settings.wakeups_per_core == 1000
    assert settings.allowed_paths == (Path("/var/lib/sondad"), Path("/run/sondad"), Path("/tmp"))


def test_flags_in_both_spellings() -> None:
    """Every flag is taken as `--flag value` and `--flag=value`."""
    settings = _parse(
        *("--port", "0", "--bind=127.0.0.2", "--workers=3", "--max-scenarios", "5", "--max-inflight-requests=7"),
        *("--request-timeout", "1", "--max-body-bytes=0", "--wakeups", "100"),
    )
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.2", 0, 3)
    assert (settings.max_scenarios, settings.max_inflight_requests) == (5, 7)
    assert (settings.request_timeout_secs, settings.max_body_bytes, settings.wakeups_per_core) == (1.0, 0, 100)


def test_inflight_default_follows_workers() -> None:
    """Four control calls at once for every worker that may be starting."""
    assert _parse("--workers", "5").max_inflight_requests == 20


@pytest.mark.parametrize(
    ("arguments", "environment", "key", "is_empty", "host"),
    [
        ((), {"SONDA_API_KEY": "env"}, "env", False, "0.0.0.0"),
        (("--api-key", "flag"), {"SONDA_API_KEY": "env"}, "flag", False, "0.0.0.0"),
        (("--api-key", ""), {"SONDA_API_KEY": "env"}, None, True, "127.0.0.1"),
        ((), {"SONDA_API_KEY": ""}, None, True, "127.0.0.1"),
        (("--api-key=k", "--bind", "127.0.0.1"), {}, "k", False, "127.0.0.1"),
        (("--bind", "0.0.0.0"), {}, None, False, "0.0.0.0"),
    ],
)
def test_key_and_address(
    arguments: tuple[str, ...], environment: dict[str, str], key: str | None, is_empty: bool, host: str
) -> None:
    """The flag beats the variable, an empty key is none, and only a key opens the daemon to others by default."""
    settings = _parse(*arguments, **environment)
    assert (settings.api_key, settings.api_key_is_empty, settings.host) == (key, is_empty, host)
    assert settings.is_open_to_others == (host == "0.0.0.0" and key is None)


def test_key_is_shown_nowhere() -> None:
    """Neither the record's text nor what scenarios may name contains the key."""
    settings = _parse(SONDA_API_KEY="s3cret", HOME="/root")
    assert "s3cret" not in repr(settings)
    assert settings.environment == {"HOME": "/root"}


@pytest.mark.parametrize(("text", "host"), [("[::1]", "::1"), ("::1", "::1"), ("[::]", "::"), ("10.0.0.1", "10.0.0.1")])
def test_bind_addresses(text: str, host: str) -> None:
    """IPv6 literals come with or without brackets."""
    assert _parse("--bind", text).host == host


@pytest.mark.parametrize("text", ["localhost", "", "127.0.0.1:80", "[::1", "256.0.0.1"])
def test_bad_bind_address_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no IP address keeps the daemon from starting, and the message shows it."""
    with pytest.raises(SystemExit, match="2"):
        _parse("--bind", text)
    assert f"argument --bind: expected an IP address such as 127.0.0.1, 0.0.0.0 or [::1], found {text!r}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--port", "65536"), "--port"),
        (("--port", "-1"), "--port"),
        (("--port", "x"), "--port"),
        (("--port=", "1"), "--port"),
        (("--port",), "--port"),
        (("--workers", "0"), "--workers"),
        (("--max-inflight-requests", "0"), "--max-inflight-requests"),
        (("--request-timeout", "0"), "--request-timeout"),
        (("--request-timeout", "1.5"), "--request-timeout"),
        (("--max-body-bytes", "-1"), "--max-body-bytes"),
        (("--wakeups", "0"), "--wakeups"),
        (("--max-scenarios", "1" * 30), "--max-scenarios"),
        (("--max-scenarios", "\u0661"), "--max-scenarios"),
        (("--unknown",), "--unknown"),
        (("--por", "1"), "--por"),
        (("stray",), "stray"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument ends with exit code 2, names itself on stderr and leaves stdout empty."""
    with pytest.raises(SystemExit) as caught:
        _parse(*arguments)
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("flag", ["-h", "--help", "-V", "--version"])
def test_help_and_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version go to stdout with exit code 0; the help never shows the key in the environment."""
    with pytest.raises(SystemExit) as caught:
        _parse(flag, SONDA_API_KEY="s3cret")
    assert not caught.value.code
    shown = capsys.readouterr()
    assert shown.out.strip()
    assert shown.err == ""
    assert "s3cret" not in shown.out


def test_allowed_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots given as flags replace the default ones, relative ones count from the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    settings = _parse("--allow-path", "/tmp", "--allow-path=out")
    assert settings.allowed_paths == (Path("/tmp"), tmp_path / "out")


def test_service_manager_directories() -> None:
    """The directories that the service manager made are the default roots."""
    settings = _parse(STATE_DIRECTORY="/s1:/s2", RUNTIME_DIRECTORY="/r")
    assert settings.allowed_paths == (Path("/s1"), Path("/s2"), Path("/r"), Path("/tmp"))


@pytest.mark.parametrize("text", ["", "0", "n", "No", "f", "FALSE", "off"])
def test_texts_that_leave_autostart_off(text: str) -> None:
    """They are words for no, in any case; the flag beats them."""
    assert not _parse(SONDA_AUTOSTART=text).autostart
    assert _parse("--autostart", SONDA_AUTOSTART=text).autostart


@pytest.mark.parametrize("text", ["1", "yes", "maybe", " false ", "00"])
def test_every_other_text_turns_autostart_on(text: str) -> None:
    """Also one that looks like no and has blanks around it."""
    assert _parse(SONDA_AUTOSTART=text).autostart


def test_the_catalog_comes_from_flag_or_environment() -> None:
    """The flag wins; without either there is none, and no packs."""
    settings = _parse()
    assert (settings.catalog, settings.builtin_packs, settings.autostart) == (None, False, False)
    assert _parse(SONDA_CATALOG="/a").catalog == Path("/a")
    assert _parse("--catalog=/b", SONDA_CATALOG="/a").catalog == Path("/b")
    assert _parse("--catalog", "/b", SONDA_CATALOG="").catalog == Path("/b")
    assert _parse("--builtin-packs").builtin_packs


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--catalog", ""), {}, "--catalog"),
        ((), {"SONDA_CATALOG": ""}, "SONDA_CATALOG"),
        (("--autostart=x",), {}, "--autostart"),
        (("--autostart", "--autostart"), {}, "--autostart"),
        (("--relay", "x"), {}, "--relay"),
    ],
)
def test_what_is_no_catalog_and_no_switch(
    arguments: tuple[str, ...], environment: dict[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty directory, a switch with a value or twice, and a relay where there is none are wrong arguments."""
    with pytest.raises(SystemExit) as caught:
        _parse(*arguments, **environment)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err


def test_only_the_native_command_runs_a_relay() -> None:
    """Its file is taken as given."""
    assert _parse().relay_config is None
    assert parse_settings("sondad serve", ["--relay", "r.yaml"], {}, with_relay=True).relay_config == "r.yaml"


@pytest.mark.parametrize("key", ["sesame\n", " sesame", "sesame ", "s\tame", "sésame", "s\0ame", "\r"])
@pytest.mark.parametrize("by_flag", [True, False])
def test_a_key_that_no_client_can_send_is_refused(key: str, by_flag: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and the reason, without showing it; any other key stays legal."""
    with pytest.raises(SystemExit) as caught:
        _parse(*(["--api-key", key] if by_flag else []), **({} if by_flag else {"SONDA_API_KEY": key}))
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "no client can send this key" in told
    assert "ame" not in told.replace("name", "")
    assert _parse("--api-key", "open ses-ame~").api_key == "open ses-ame~"
