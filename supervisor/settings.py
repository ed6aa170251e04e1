"""Flags and environment to one frozen record. Source: docs/operating.md, "Start"."""

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from common.specs import Isolation
from supervisor.engine.placement import DEFAULT_PER_WORKER, SEPARATE, Sharing
from supervisor.host.environment import ALWAYS_READABLE, readable
from supervisor.host.limits import DEFAULT_WAKEUPS_PER_CORE, usable_cores

API_KEY_VARIABLE: Final = "SONDA_API_KEY"
CATALOG_VARIABLE: Final = "SONDA_CATALOG"
AUTOSTART_VARIABLE: Final = "SONDA_AUTOSTART"
COMPATIBLE_PROGRAM: Final = "sonda-server"
_SENDABLE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_MAX_DEFAULT_WORKERS: Final = 16
_MAX_INTEGER: Final = 2**63 - 1
# sun_path of Linux holds 108 bytes with its terminating zero.
_MAX_SOCKET_PATH_BYTES: Final = 107
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
        relay_config: configuration file of the relay to run as well; None runs none.
        relay_admin: admin socket of a relay that runs already and is to be shown; None for none.
        allowed_hosts: names that clients on loopback may call the daemon by, besides IP addresses and localhost.
        sharing: which scenarios share a process, and how many of them.
        allowed_origins: origins whose web pages may ask, and read the answers.
        worker_memory_bytes: memory of its own that a worker process may use; 0 is unlimited.
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
    """
    parser = build_parser(program, with_relay=with_relay)
    given = parser.parse_args(arguments)
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
        relay_config=given.relay if with_relay else None,
        relay_admin=given.relay_admin if with_relay else None,
        allowed_hosts=tuple(given.allow_host),
        allowed_origins=tuple(given.allow_origin),
        worker_memory_bytes=given.worker_memory * 1024 * 1024,
        sharing=Sharing(given.isolation, given.per_worker),
    )


def build_parser(program: str, *, with_relay: bool) -> argparse.ArgumentParser:
    """Return the parser of the control plane's flags; arguments as `parse_settings`."""
    parser = argparse.ArgumentParser(
        prog=program,
        allow_abbrev=False,
        description="Run the control plane in the foreground: an HTTP API that starts, shows and stops scenarios.",
    )
    add = parser.add_argument
    add("--port", type=_integer(0, 65535), default=8080, help="TCP port; 0 picks a free one (default %(default)s)")
    add(
        "--bind",
        type=_address,
        metavar="IP",
        help="address to listen on (default 127.0.0.1, or 0.0.0.0 with an API key)",
    )
    add(
        "--api-key",
        metavar="KEY",
        help=f"bearer token that clients must send; prefer {API_KEY_VARIABLE}, which other users of the machine cannot "
        "see (default none)",
    )
    add(
        "--allow-path",
        action="append",
        type=_directory,
        metavar="DIR",
        help="directory scenarios may read and write; repeatable (default: the state and runtime directories and /tmp)",
    )
    add(
        "--allow-env",
        action="append",
        type=_variable,
        default=[],
        metavar="NAME",
        help="variable, or a pattern such as APP_*, that posted scenarios may read; repeatable "
        + (
            "(default: all that do not look like secrets)"
            if program == COMPATIBLE_PROGRAM
            else f"({ALWAYS_READABLE} is always allowed)"
        ),
    )
    add(
        "--allow-host",
        action="append",
        type=str.lower,
        default=[],
        metavar="NAME",
        help="host name that clients on loopback may call the daemon by, repeatable (default IP addresses, localhost)",
    )
    add(
        "--allow-origin",
        action="append",
        type=_origin,
        default=[],
        metavar="URL",
        help="origin, such as https://dash.example:3000, whose web pages may ask and read answers, repeatable",
    )
    add(
        "--catalog",
        metavar="DIR",
        help=f"directory of packs and scenarios; also {CATALOG_VARIABLE} (default none)",
    )
    add("--builtin-packs", action="store_true", help="allow the built-in packs even without a catalog")
    add(
        "--autostart",
        action=_Switch,
        nargs=0,
        default=False,
        help=f"start every scenario of the catalog; also {AUTOSTART_VARIABLE}",
    )
    add(
        "--workers",
        type=_integer(1),
        default=min(usable_cores(), _MAX_DEFAULT_WORKERS),
        metavar="N",
        help="worker processes started concurrently (default %(default)s)",
    )
    add(
        "--worker-memory",
        type=_integer(0, 2**40),
        default=0,
        metavar="MIB",
        help="memory of its own that each worker process may use, 0 is unlimited (default %(default)s)",
    )
    add("--max-scenarios", type=_integer(0), default=0, metavar="N", help="maximum number of scenarios; 0 is unlimited")
    add(
        "--max-inflight-requests",
        type=_integer(1),
        metavar="N",
        help="control calls handled concurrently (default 4 x workers)",
    )
    add(
        "--request-timeout",
        type=_integer(1),
        default=30,
        metavar="SECS",
        help="timeout of a control call in seconds (default %(default)s)",
    )
    add(
        "--max-body-bytes",
        type=_integer(0),
        default=1024 * 1024,
        metavar="N",
        help="maximum size of a request body (default %(default)s)",
    )
    add(
        "--wakeups",
        type=_integer(1),
        default=DEFAULT_WAKEUPS_PER_CORE,
        metavar="N",
        help="wake-up budget per second and core; above it ticks are coalesced (default %(default)s)",
    )
    add(
        "--isolation",
        choices=get_args(Isolation),
        default="process",
        help="whether scenarios that do not say have a process of their own or share one (default %(default)s)",
    )
    add(
        "--per-worker",
        type=_integer(1),
        default=DEFAULT_PER_WORKER,
        metavar="N",
        help="how many scenarios share a process at most (default %(default)s)",
    )
    if with_relay:
        relay = parser.add_mutually_exclusive_group()
        relay.add_argument("--relay", metavar="FILE", help="also run the relay with this configuration (default none)")
        relay.add_argument(
            "--relay-admin",
            type=_socket_path,
            metavar="SOCKET",
            help="show the relay that runs already, by its admin socket, e.g. /run/sondad/relay/admin.sock",
        )
    add("-V", "--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


def _socket_path(text: str) -> str:
    if not text.startswith("/") or len(os.fsencode(text)) > _MAX_SOCKET_PATH_BYTES:
        raise argparse.ArgumentTypeError(
            f"expected an absolute path of at most {_MAX_SOCKET_PATH_BYTES} bytes, found {text!r}"
        )
    return text


class _Switch(argparse.Action):
    """Is given once or not at all."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        if getattr(namespace, self.dest):
            parser.error(f"argument {self.option_strings[0]}: given twice")
        setattr(namespace, self.dest, True)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        sys.stdout.write(f"{parser.prog} {metadata.version('sondad')}\n")
        parser.exit()


def _integer(low: int, high: int = _MAX_INTEGER) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
            bounds = f"{low} or more" if high == _MAX_INTEGER else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"expected a whole number, {bounds}, found {text!r}")
        return int(text)

    return parse


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise argparse.ArgumentTypeError(f"expected scheme, host and port such as https://dash:3000, found {text!r}")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(
            f"expected an IP address such as 127.0.0.1, 0.0.0.0 or [::1], found {text!r}"
        ) from exc


def _directory(text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a directory that exists, found {text!r}")
    return path


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_*?\[\]-]+", text):
        raise argparse.ArgumentTypeError(f"expected the name of a variable, or a pattern such as APP_*, found {text!r}")
    return text


def _default_paths(environment: Mapping[str, str]) -> list[Path]:
    named = [environment.get(variable) or default for variable, default in _DIRECTORIES.items()]
    return [Path(directory) for text in named for directory in text.split(":")] + [Path("/tmp")]  # noqa: S108
