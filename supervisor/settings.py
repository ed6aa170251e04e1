"""Flags and environment to one frozen record. Source: docs/operating.md, "Start"."""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common.restarts import OnRestart
from common.sharing import SEPARATE, Sharing
from supervisor.flags.parser import (
    AUTOSTART_VARIABLE,
    CATALOG_VARIABLE,
    COMPATIBLE_PROGRAM,
    DEFAULT_FILE,
    LOG_VARIABLE,
    build_parser,
)
from supervisor.host.daemon_address import API_KEY_VARIABLE
from supervisor.host.environment import readable
from supervisor.host.limits import DEFAULT_MAX_SLACK_MS

_SENDABLE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_OFF: Final = frozenset({"", "0", "n", "no", "f", "false", "off"})

# systemd names the directories it made; the defaults are what the service unit gets.
_DIRECTORIES: Final = {"STATE_DIRECTORY": "/var/lib/sondad", "RUNTIME_DIRECTORY": "/run/sondad"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How the control plane runs.

    Attributes:
        host: IP address to listen on.
        port: TCP port; 0 lets the operating system pick.
        api_key: the bearer token that clients must send; None leaves everything public.
        api_key_is_empty: whether an empty key was given.
        environment: what `${VAR}` in the catalog's scenarios may name.
        posted_environment: what it may name in posted bodies.
        allowed_paths: roots of the files that scenarios may name.
        catalog: directory of packs, and of the scenarios that are started first.
        builtin_packs: whether the built-in packs can be named without a catalog too.
        autostart: whether the scenarios of the catalog are started.
        workers: how many worker processes may be starting at once.
        max_scenarios: how many scenarios there may be, finished ones included; 0 is unlimited.
        max_inflight_requests: how many control calls run at once.
        request_timeout_secs: how long a control call may take.
        max_body_bytes: how large a request body may be.
        wakeups_per_core: wake-ups per second of all workers together, per usable core.
        max_slack_ms: how late ticks may be fired together with others, at most.
        relay_config: configuration file of the relay to run as well; None runs none.
        relay_admin: admin socket of a relay that runs already and is to be shown; None for none.
        allowed_hosts: names that clients on loopback may call the daemon by, besides IP addresses and localhost.
        sharing: which scenarios share a process, and how many of them.
        state_dir: where scenarios are kept that are to go on after a restart; None keeps nothing.
        on_restart: what becomes of those that do not say.
        fresh: whether what an earlier daemon has kept is forgotten.
        allowed_origins: origins whose web pages may ask, and read the answers.
        worker_memory_bytes: memory of its own that a worker process may use; 0 is unlimited.
        config_file: what was read besides the flags; None for nothing.
        log_filter: which log lines are shown.
        log_as_json: whether they are JSON.
    """

    host: str
    port: int
    api_key: str | None = field(repr=False)
    api_key_is_empty: bool
    environment: Mapping[str, str] = field(repr=False)
    posted_environment: Mapping[str, str] = field(repr=False)
    allowed_paths: tuple[Path, ...]
    catalog: Path | None
    builtin_packs: bool
    autostart: bool
    workers: int
    max_scenarios: int
    max_inflight_requests: int
    request_timeout_secs: float
    max_body_bytes: int
    wakeups_per_core: int
    relay_config: str | None
    relay_admin: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    worker_memory_bytes: int = 0
    sharing: Sharing = SEPARATE
    state_dir: Path | None = None
    on_restart: OnRestart = "hole"
    fresh: bool = False
    max_slack_ms: int = DEFAULT_MAX_SLACK_MS
    config_file: Path | None = None
    log_filter: str = "info"
    log_as_json: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only clients of this machine reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_open_to_others(self) -> bool:
        """Whether anyone who can reach this machine can start scenarios."""
        return self.api_key is None and ipaddress.ip_address(self.host).is_unspecified


def parse_settings(
    program: str, arguments: Sequence[str], environment: Mapping[str, str], *, with_relay: bool = False
) -> Settings:
    """Return the settings, or print help or version and exit.

    Args:
        program: name shown in the help.
        arguments: without the program's name.
        environment: of the process.
        with_relay: whether a relay may be asked for.

    Raises:
        SystemExit: code 2 for a wrong argument, named on stderr; 0 after help and version.
        FlagFileError: the configuration file is wrong.
    """
    parser = build_parser(program, with_relay=with_relay)
    given = parser.parse_args(arguments)
    file = given.config or (DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None)
    if file is not None:
        from supervisor.flags.file import words_of

        typed = {word.partition("=")[0] for word in arguments}
        words = words_of(file, build_parser(program, with_relay=with_relay), typed)
        given = parser.parse_args([*words, *arguments])
    catalog = given.catalog if given.catalog is not None else environment.get(CATALOG_VARIABLE)
    if catalog == "":
        parser.error(f"argument --catalog ({CATALOG_VARIABLE}): expected a directory, found an empty text")
    inherited = {name: value for name, value in environment.items() if name != API_KEY_VARIABLE}
    key = given.api_key if given.api_key is not None else environment.get(API_KEY_VARIABLE)
    if key and not _SENDABLE.fullmatch(key):
        parser.error(
            f"argument --api-key ({API_KEY_VARIABLE}): no client can send this key; expected printable ASCII without "
            "blanks at its ends" + (" (it ends with a line feed)" if key.endswith("\n") else "")
        )
    return Settings(
        host=given.bind if given.bind is not None else "0.0.0.0" if key else "127.0.0.1",  # noqa: S104
        port=given.port,
        api_key=key or None,
        api_key_is_empty=key == "",
        environment=inherited,
        # Files of those who use the compatible program count on its whole environment.
        posted_environment=readable(inherited, given.allow_env, all_but_secrets=program == COMPATIBLE_PROGRAM),
        allowed_paths=tuple(given.allow_path or _default_paths(environment)),
        catalog=None if catalog is None else Path(catalog),
        builtin_packs=given.builtin_packs,
        autostart=given.autostart or environment.get(AUTOSTART_VARIABLE, "").lower() not in _OFF,
        workers=given.workers,
        max_scenarios=given.max_scenarios,
        max_inflight_requests=given.max_inflight_requests or 4 * given.workers,
        request_timeout_secs=float(given.request_timeout),
        max_body_bytes=given.max_body_bytes,
        wakeups_per_core=given.wakeups,
        max_slack_ms=given.max_slack,
        relay_config=given.relay if with_relay else None,
        relay_admin=given.relay_admin if with_relay else None,
        allowed_hosts=tuple(given.allow_host),
        allowed_origins=tuple(given.allow_origin),
        worker_memory_bytes=given.worker_memory * 1024 * 1024,
        sharing=Sharing(given.isolation, given.per_worker),
        config_file=file,
        log_filter=given.log_level or environment.get(LOG_VARIABLE) or "info",
        log_as_json=given.log_format == "json",
        state_dir=given.state_dir,
        on_restart=given.on_restart,
        fresh=given.fresh,
    )


def _default_paths(environment: Mapping[str, str]) -> list[Path]:
    named = [environment.get(variable) or default for variable, default in _DIRECTORIES.items()]
    return [Path(directory) for text in named for directory in text.split(":")] + [Path("/tmp")]  # noqa: S108
