"""`fleet`: one run over several hosts."""

from typing import Any

import click

from supervisor.cli.grammar import Compound, Globals, Verb, pass_globals
from supervisor.cli.options import Once, Switch, read_secs, report_option
from supervisor.cli.running.expected import expect_option


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65_536:
        raise ValueError("expected a whole number from 1 to 65536")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65_535:
        raise ValueError("expected a whole number from 0 to 65535")
    return int(text)


def _on_lost(text: str) -> str:
    if text not in ("hole", "take-over"):
        raise ValueError("expected 'hole' or 'take-over'")
    return text


def _tls_options() -> list[click.Parameter]:
    three = ("--tls-ca", "--tls-cert", "--tls-key")
    texts = ("certificates of the authority of all hosts", "certificate of this side", "its key")
    return [
        Once(flag, metavar="FILE", help=f"{text} (PEM)", requires=tuple(other for other in three if other != flag))
        for flag, text in zip(three, texts, strict=True)
    ]


def _scheduler_options() -> list[click.Parameter]:
    return [
        Once("--scheduler-file", metavar="FILE", help="where the scheduler has written its address"),
        Once(
            "--scheduler",
            metavar="ADDRESS",
            help="address of the scheduler, such as tls://10.0.0.5:8786",
            excludes=("--scheduler-file",),
        ),
        *_tls_options(),
    ]


@pass_globals
def _run(chosen: Globals, /, scenario: str, **options: Any) -> int:
    from supervisor.cli.fleet.run import FleetRequest, run_fleet

    return run_fleet(chosen, scenario, FleetRequest(**options))


@pass_globals
def _status(_chosen: Globals, /, *, as_json: bool, **place: Any) -> int:
    from supervisor.cli.fleet.hosts import print_status
    from supervisor.fleet.place import place_of

    return print_status(place_of(**place), as_json=as_json)


@pass_globals
def _stop(_chosen: Globals, /, scenario: str | None, *, every: bool, as_json: bool, **place: Any) -> int:
    if (scenario is None) is not every:
        raise click.UsageError("expected either NAME|ID or --all", click.get_current_context())
    from supervisor.cli.fleet.hosts import stop
    from supervisor.fleet.place import place_of

    return stop(place_of(**place), scenario, as_json=as_json)


@pass_globals
def _scheduler(_chosen: Globals, /, **options: Any) -> int:
    from supervisor.cli.fleet.roles import run_scheduler

    return run_scheduler(**options)


@pass_globals
def _worker(_chosen: Globals, /, **options: Any) -> int:
    from supervisor.cli.fleet.roles import run_worker

    return run_worker(**options)


COMMAND = Compound(
    "fleet",
    "Run one scenario over several hosts; Dask.distributed places it, the daemon of each host makes its part.",
    [
        Verb(
            "run",
            "Run a scenario over all hosts together: a file, or `@name` of the catalog, until every entry has ended.",
            [
                click.Argument(["scenario"], metavar="SCENARIO"),
                *_scheduler_options(),
                Once(
                    "--local",
                    metavar="N",
                    help="start scheduler, workers and N daemons on this machine, for this run",
                    read=_count,
                    excludes=("--scheduler-file", "--scheduler", "--tls-ca", "--tls-cert", "--tls-key", "--hosts"),
                ),
                Once(
                    "--hosts",
                    metavar="N",
                    help="wait for N hosts and take N (default: all that are there)",
                    read=_count,
                ),
                Once(
                    "--start-in",
                    metavar="DURATION",
                    help="time from the moment when all hosts agree until the start (default: what they need)",
                    read=read_secs,
                ),
                Switch("--digest", help="sum up the events of every entry, to compare or add up what runs have made"),
                Once(
                    "--on-lost",
                    metavar="POLICY",
                    help="hole (default): the rest of a lost host's part is missing; take-over: another host goes on",
                    read=_on_lost,
                ),
                Once(
                    "--lost-after",
                    metavar="DURATION",
                    help="how long a host may be silent (default 15s)",
                    read=read_secs,
                ),
                expect_option(),
                report_option(),
            ],
            _run,
            "run a scenario over all hosts together",
        ),
        Verb(
            "status",
            "List the hosts of a fleet, and the scenarios of their daemons.",
            [*_scheduler_options(), Switch("--json", "as_json", help="print JSON")],
            _status,
            "list the hosts and the scenarios of their daemons",
        ),
        Verb(
            "stop",
            "Stop scenarios on all hosts, and remove them.",
            [
                click.Argument(["scenario"], required=False, metavar="[NAME|ID]"),
                Switch("--all", "every", help="stop every scenario of every host"),
                *_scheduler_options(),
                Switch("--json", "as_json", help="print JSON"),
            ],
            _stop,
            "stop scenarios on all hosts",
        ),
        Verb(
            "scheduler",
            "Run the scheduler of a fleet; without TLS on loopback only.",
            [
                Once("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)"),
                Once("--port", metavar="N", help="TCP port; 0 picks a free one (default 8786)", read=_port),
                Once("--scheduler-file", metavar="FILE", help="where its address is written for the others"),
                *_tls_options(),
            ],
            _scheduler,
            "run the scheduler",
        ),
        Verb(
            "worker",
            "Run the Dask worker of a host: through it the daemon of the host takes part.",
            [
                *_scheduler_options(),
                Once(
                    "--url",
                    metavar="URL",
                    help="the daemon of this host (default $SONDAD_URL, else http://127.0.0.1:8080)",
                ),
                Once(
                    "--api-key-file",
                    metavar="FILE",
                    help="file with its API key (default $SONDA_API_KEY_FILE, $SONDA_API_KEY)",
                ),
                Once("--host", metavar="ADDRESS", help="address of this host that the scheduler can reach"),
                Once("--name", metavar="NAME", help="what the host is called (default: its host name)"),
            ],
            _worker,
            "run the Dask worker of a host",
        ),
    ],
)
