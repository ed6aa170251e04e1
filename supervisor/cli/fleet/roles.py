"""`fleet scheduler` and `fleet worker`: Dask's own programs, with what a fleet needs of them.

Both replace this process. Source: docs/more-than-one-machine.md, "Scheduler and workers".
"""

import os
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from supervisor.cli.failures import MISUSED, CommandError
from supervisor.fleet.actions import KEY_FILE_VARIABLE, URL_VARIABLE
from supervisor.fleet.place import FleetError, SchedulerPlace, Trust, require_loopback, trust_of
from supervisor.host.interpreter import command

_LOCAL: Final = "127.0.0.1"
_PORT: Final = 8786
_FILE_SECS: Final = 60.0

_QUIET: Final = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""Without these both have a web page that whoever reaches the host can see."""

_SETTINGS: Final = {
    # Otherwise a task of a worker that was killed waits for ever.
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    # A worker that has died without a word is missed after seconds, not after five minutes.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s",
    # Tasks wait for HTTP; there is nothing to profile, to spill or to steal.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
}


def run_scheduler(
    host: str | None,
    port: int | None,
    scheduler_file: str | None,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> NoReturn:
    """Become the scheduler of a fleet.

    Raises:
        CommandError: it would listen to other machines without TLS, or a certificate cannot be read.
        FleetError: Dask is missing.
    """
    trust = _checked(host or _LOCAL, tls_ca, tls_cert, tls_key)
    arguments = scheduler_arguments(host or _LOCAL, _PORT if port is None else port, scheduler_file, trust)
    become(arguments, settings_of(os.environ, trust))


def run_worker(
    scheduler_file: str | None,
    scheduler: str | None,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    url: str | None,
    api_key_file: str | None,
    host: str | None,
    name: str | None,
) -> NoReturn:
    """Become the Dask worker of this host.

    Raises:
        CommandError: it would listen to other machines without TLS, or a certificate cannot be read.
        FleetError: there is no scheduler, it may not be used, or Dask is missing.
    """
    trust = _checked(host or _LOCAL, tls_ca, tls_cert, tls_key)
    place = SchedulerPlace(scheduler, None if scheduler_file is None else Path(scheduler_file), trust)
    address = place.await_address(_FILE_SECS)
    more = {URL_VARIABLE: url, KEY_FILE_VARIABLE: api_key_file}
    given = {variable: value for variable, value in more.items() if value is not None}
    arguments = worker_arguments(address, name or socket.gethostname(), host, trust)
    become(arguments, {**settings_of(os.environ, trust), **given})


def scheduler_arguments(host: str, port: int, file: str | None, trust: Trust | None) -> list[str]:
    """Return the command line of a scheduler."""
    return [
        *command("distributed.cli.dask_scheduler", "main()"),
        *("--host", host, "--port", str(port), *_QUIET),
        *(() if file is None else ("--scheduler-file", str(Path(file).absolute()))),
        *_tls(trust),
    ]


def worker_arguments(address: str, name: str, host: str | None, trust: Trust | None) -> list[str]:
    """Return the command line of a Dask worker."""
    return [
        *command("distributed.cli.dask_worker", "main()"),
        *(address, "--name", name, "--nthreads", "4", "--no-nanny", "--memory-limit", "0", *_QUIET),
        *(() if host is None else ("--host", host)),
        *_tls(trust),
    ]


def settings_of(environment: Mapping[str, str], trust: Trust | None) -> dict[str, str]:
    """Return the environment of a scheduler or a worker; what is set already stays."""
    encryption = {} if trust is None else {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
    return {**_SETTINGS, **encryption, **environment}


def become(arguments: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process.

    Raises:
        FleetError: Dask is not installed.
    """
    if find_spec("distributed") is None:
        raise FleetError("a fleet needs Dask.distributed: pip install 'sondad[fleet]'")
    sys.stdout.flush()
    os.execve(arguments[0], arguments, dict(environment))  # noqa: S606 - a program of ours


def _checked(host: str, tls_ca: str | None, tls_cert: str | None, tls_key: str | None) -> Trust | None:
    """Return the certificates; without them other machines must not reach `host`.

    Raises:
        CommandError: they do, or one cannot be read; a service manager need not try again.
    """
    try:
        trust = trust_of(tls_ca, tls_cert, tls_key)
        if trust is None:
            require_loopback(host)
    except FleetError as exc:
        raise CommandError(str(exc), MISUSED) from exc
    return trust


def _tls(trust: Trust | None) -> list[str]:
    if trust is None:
        return ["--protocol", "tcp"]
    files = (("--tls-ca-file", trust.ca), ("--tls-cert", trust.cert), ("--tls-key", trust.key))
    return ["--protocol", "tls", *(text for flag, path in files for text in (flag, str(Path(path).absolute())))]
