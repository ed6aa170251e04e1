"""`run`: run a scenario file."""

from typing import Any, get_args

import click

from common.segments import Segment
from common.sharing import Isolation, Sharing
from supervisor.cli.asked import asked_options
from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Many, Once, report_option
from supervisor.cli.running.expected import expect_option


def number(text: str) -> float:
    """Return a decimal number; ValueError for what Python alone takes for one."""
    if "_" in text or text != text.strip() or not text.isascii():
        raise ValueError("invalid float literal")
    try:
        return float(text)
    except ValueError:
        raise ValueError("invalid float literal") from None


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"label \"{text}\" must be in key=value format (no '=' found)")
    if not key:
        raise ValueError(f'label key must not be empty in "{text}"')
    return key, value


def _policy(text: str) -> str:
    if text not in ("warn", "fail"):
        raise ValueError(f"invalid --on-sink-error \"{text}\": expected 'warn' or 'fail'")
    return text


def _isolation(text: str) -> str:
    if text not in get_args(Isolation):
        raise ValueError("expected 'process', 'shared' or 'auto'")
    return text


@pass_globals
def _run(
    chosen: Globals,
    /,
    scenario: str,
    expected: tuple[Any, ...],
    report: str | None,
    isolation: Isolation | None,
    segment: Segment | None,
    start_at: str | None,
    *,
    digest: bool,
    **overrides: Any,
) -> int:
    if chosen.dry_run:
        from supervisor.cli.running.overrides import Overrides
        from supervisor.cli.running.run import asked_for, dry_run_file

        return dry_run_file(chosen, scenario, Overrides(**overrides), asked_for(segment, start_at, digest=digest))
    from supervisor.cli.running.session import Session

    # PERF: what forks the workers starts in a process of its own while the rest is imported.
    with Session(Sharing(isolation or "process")) as session:
        from supervisor.cli.running.overrides import Overrides
        from supervisor.cli.running.run import asked_for, run_file
        from supervisor.host.interpreter import collect_from_now_on

        collect_from_now_on()
        asked = asked_for(segment, start_at, digest=digest)
        return run_file(session, chosen, scenario, Overrides(**overrides), asked, expected, report)


COMMAND = Verb(
    "run",
    "Run a scenario file, or `@name` of the catalog, until every entry has ended or a signal comes.",
    [
        click.Argument(["scenario"], metavar="SCENARIO"),
        Once("--duration", metavar="DURATION", help="duration of every entry, such as 30s or 5m"),
        Once("--rate", metavar="RATE", help="events per second of every entry", read=number),
        Once("--sink", metavar="SINK", help="sink of every entry, with its defaults"),
        Once("--endpoint", metavar="ENDPOINT", help="path, address or URL of --sink"),
        Once("-o", "--output", metavar="OUTPUT", help="write every entry to this file", excludes=("--sink",)),
        Once("--encoder", metavar="ENCODER", help="encoder of every entry, with its defaults"),
        Many("--label", "labels", metavar="LABELS", help="KEY=VALUE, added to every entry; repeatable", read=_label),
        Once(
            "--on-sink-error",
            metavar="ON_SINK_ERROR",
            help="warn: sink errors are reported and the run goes on; fail: they end it",
            read=_policy,
        ),
        expect_option(),
        report_option(),
        Once(
            "--isolation",
            metavar="ISOLATION",
            help="process (default), shared or auto: which entries share a process, unless they say so themselves",
            read=_isolation,
        ),
        *asked_options(),
    ],
    _run,
)
