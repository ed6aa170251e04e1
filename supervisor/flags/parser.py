"""The grammar of the control plane's flags. Source: docs/operating.md, "Start"."""

import argparse
from pathlib import Path
from typing import Final, get_args

from common.restarts import OnRestart
from common.sharing import DEFAULT_PER_WORKER, Isolation
from supervisor.flags.values import (
    OnceSwitch,
    Version,
    address,
    directory,
    integer,
    log_filter,
    origin,
    socket_path,
    variable,
)
from supervisor.host.daemon_address import API_KEY_VARIABLE
from supervisor.host.environment import ALWAYS_READABLE
from supervisor.host.limits import DEFAULT_MAX_SLACK_MS, DEFAULT_WAKEUPS_PER_CORE, usable_cores

DEFAULT_FILE: Final = Path("/etc/sondad/sondad.yaml")
"""Read when it exists and no other file is named."""

LOG_VARIABLE: Final = "RUST_LOG"
CATALOG_VARIABLE: Final = "SONDA_CATALOG"
AUTOSTART_VARIABLE: Final = "SONDA_AUTOSTART"
COMPATIBLE_PROGRAM: Final = "sonda-server"
_MAX_DEFAULT_WORKERS: Final = 16


def build_parser(program: str, *, with_relay: bool) -> argparse.ArgumentParser:
    """Return the parser of the control plane's flags; arguments as `parse_settings`."""
    parser = argparse.ArgumentParser(
        prog=program,
        allow_abbrev=False,
        description="Run the control plane in the foreground: an HTTP API that starts, shows and stops scenarios.",
    )
    add = parser.add_argument
    add("--port", type=integer(0, 65535), default=8080, help="TCP port; 0 picks a free one (default %(default)s)")
    add(
        "--bind",
        type=address,
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
        type=directory,
        metavar="DIR",
        help="directory scenarios may read and write; repeatable (default: the state and runtime directories and /tmp)",
    )
    add(
        "--allow-env",
        action="append",
        type=variable,
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
        help="host name that clients on loopback may call the daemon by; repeatable (default: IP addresses, localhost)",
    )
    add(
        "--allow-origin",
        action="append",
        type=origin,
        default=[],
        metavar="URL",
        help="origin, such as https://dash.example:3000, whose web pages may ask and read answers; repeatable",
    )
    add(
        "--catalog",
        metavar="DIR",
        help=f"directory of packs and scenarios; also {CATALOG_VARIABLE} (default none)",
    )
    add("--builtin-packs", action="store_true", help="allow the built-in packs even without a catalog")
    add(
        "--autostart",
        action=OnceSwitch,
        nargs=0,
        default=False,
        help=f"start every scenario of the catalog; also {AUTOSTART_VARIABLE}",
    )
    add(
        "--workers",
        type=integer(1),
        default=min(usable_cores(), _MAX_DEFAULT_WORKERS),
        metavar="N",
        help="worker processes started concurrently (default %(default)s)",
    )
    add(
        "--worker-memory",
        type=integer(0, 2**40),
        default=0,
        metavar="MIB",
        help="memory of its own that each worker process may use; 0 is unlimited (default %(default)s)",
    )
    add(
        "--max-scenarios",
        type=integer(0),
        default=0,
        metavar="N",
        help="maximum number of scenarios; 0 is unlimited (default %(default)s)",
    )
    add(
        "--max-inflight-requests",
        type=integer(1),
        metavar="N",
        help="control calls handled concurrently (default 4 x workers)",
    )
    add(
        "--request-timeout",
        type=integer(1),
        default=30,
        metavar="SECS",
        help="timeout of a control call in seconds (default %(default)s)",
    )
    add(
        "--max-body-bytes",
        type=integer(0),
        default=1024 * 1024,
        metavar="N",
        help="maximum size of a request body (default %(default)s)",
    )
    add(
        "--wakeups",
        type=integer(1),
        default=DEFAULT_WAKEUPS_PER_CORE,
        metavar="N",
        help="wake-up budget per second and core; above it ticks are coalesced (default %(default)s)",
    )
    add(
        "--max-slack",
        type=integer(0, 60_000),
        default=DEFAULT_MAX_SLACK_MS,
        metavar="MS",
        help="how late ticks may be fired together with others when the machine is busy (default %(default)s)",
    )
    add(
        "--isolation",
        choices=get_args(Isolation),
        default="process",
        help="whether scenarios that do not say have a process of their own or share one (default %(default)s)",
    )
    add(
        "--per-worker",
        type=integer(1),
        default=DEFAULT_PER_WORKER,
        metavar="N",
        help="how many scenarios share a process at most (default %(default)s)",
    )
    add(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="directory in which scenarios are kept, so that they go on after a restart (default: they are not kept)",
    )
    add(
        "--on-restart",
        choices=get_args(OnRestart),
        default="hole",
        help="with --state-dir, what becomes of scenarios that do not say: their ticks in between are missing, are "
        "made up for, or the scenario ends (default %(default)s)",
    )
    add("--fresh", action="store_true", help="with --state-dir, forget what an earlier daemon has kept there")
    if with_relay:
        relay = parser.add_mutually_exclusive_group()
        relay.add_argument("--relay", metavar="FILE", help="also run the relay with this configuration (default none)")
        relay.add_argument(
            "--relay-admin",
            type=socket_path,
            metavar="SOCKET",
            help="show the relay that runs already, by its admin socket, e.g. /run/sondad/relay/admin.sock",
        )
    add(
        "--log-level",
        type=log_filter,
        metavar="FILTER",
        help="error, warn, info, debug or trace, also for one part of the program: warn,sonda_server::http=debug "
        f"(default {LOG_VARIABLE}, or info)",
    )
    add(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="form of log lines (default %(default)s)",
    )
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file with a key for each flag, which count where no flag is given (default "
        f"{DEFAULT_FILE}, if it exists)",
    )
    add("-V", "--version", action=Version, nargs=0, help="show the version and exit")
    return parser
