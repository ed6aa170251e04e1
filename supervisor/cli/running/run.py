"""The order of a run: read, print what was asked for, launch, show, sum up. Source: docs/command-line.md, "run"."""

import time
from collections.abc import Sequence
from typing import Any

import click

from common.lateness import bucket_pairs
from common.segments import Segment
from supervisor.cli.failures import ABANDONED, OK, CommandError
from supervisor.cli.grammar import Globals
from supervisor.cli.logs import CommandLogs
from supervisor.cli.reports import CommandReport, write_report
from supervisor.cli.running.banners import start_lines, stop_lines
from supervisor.cli.running.dry_run import dry_run_json, dry_run_text
from supervisor.cli.running.expected import Expected
from supervisor.cli.running.figures import figures_of, judge
from supervisor.cli.running.overrides import Overrides
from supervisor.cli.running.progress import LineProgress, LiveProgress, Silent
from supervisor.cli.running.session import Running, RunOutcome, Session
from supervisor.cli.running.source import ReadyScenario, load
from supervisor.cli.running.verbose import config_lines, version_line
from supervisor.cli.screen import Screen
from supervisor.compiler import Asked
from supervisor.compiler.timing.start_at import parse_start_at

_LAYOUTS = ("text", "json")


def asked_for(segment: Segment | None, start_at: str | None, *, digest: bool) -> Asked:
    """Return what the options ask for.

    Raises:
        CommandError: the start is no instant, or too far away.
    """
    try:
        return Asked(segment, None if start_at is None else parse_start_at(start_at, time.time_ns()), digest=digest)
    except ValueError as exc:
        raise CommandError(f"--start-at: {exc}") from exc


def dry_run_file(chosen: Globals, reference: str, overrides: Overrides, asked: Asked) -> int:
    """Print what would run; returns the exit code.

    Raises:
        CommandError: it could not run.
    """
    check_layout(chosen)
    with CommandLogs(quiet=chosen.quiet):
        print_dry_run(load(reference, chosen.catalog, overrides.apply, asked, is_dry=True), chosen.layout)
    return OK


def run_file(
    session: Session,
    chosen: Globals,
    reference: str,
    overrides: Overrides,
    asked: Asked,
    expected: Sequence[Expected] = (),
    report: str | None = None,
) -> int:
    """Run a scenario; returns the exit code.

    Args:
        session: runs it.
        chosen: the global flags.
        reference: a path or `@name`.
        overrides: of every entry.
        asked: which part of it runs, and when.
        expected: what the figures of the run must be.
        report: file for what was found.

    Raises:
        CommandError: it cannot run, an entry failed, or a figure is not as expected.
    """
    screen = Screen()
    with CommandLogs(quiet=chosen.quiet):
        scenario = load(reference, chosen.catalog, overrides.apply, asked)
        outcome = watch_run(scenario, chosen, screen, session)
    return conclude(scenario, chosen, screen, outcome, expected, report)


def conclude(
    scenario: ReadyScenario,
    chosen: Globals,
    screen: Screen,
    outcome: RunOutcome,
    expected: Sequence[Expected],
    report: str | None,
    hosts: Sequence[dict[str, Any]] | None = None,
) -> int:
    """Judge a run that is over, and write what was found; returns the exit code.

    Args:
        scenario: what was run.
        chosen: the global flags.
        screen: takes the verdicts.
        outcome: how it has ended.
        expected: what its figures must be.
        report: file for what was found.
        hosts: what each has made, where there were several.

    Raises:
        CommandError: an entry failed, something was lost, or a figure is not as expected.
    """
    checks = judge(expected, figures_of(scenario.plan, outcome))
    failures = [] if outcome.unread else outcome.failures
    for check in checks:
        if not (check.passed and chosen.quiet):
            verdict = "PASS" if check.passed else "FAIL"
            screen.line(f"  {verdict} {check.name}  ({check.text})", "green" if check.passed else "red")
    if report is not None:
        error = "; ".join(failures) or ("abandoned by a second signal" if outcome.abandoned else None)
        found = CommandReport(
            "run" if hosts is None else "fleet run",
            scenario.reference,
            outcome.elapsed_secs,
            entry_rows(outcome),
            checks,
            error,
            scenario.plan.segment,
            hosts,
        )
        write_report(report, found)
    if outcome.abandoned:
        return ABANDONED
    if failures:
        raise CommandError("; ".join(failures))
    missed = sum(not check.passed for check in checks)
    if missed:
        raise CommandError(f"{missed} of {len(checks)} expectation(s) of the run failed")
    return OK


def entry_rows(outcome: RunOutcome) -> list[dict[str, Any]]:
    """Return the entries of a run as reports show them."""
    return [
        {
            "name": entry.name,
            "events": entry.counters.total_events,
            "bytes": entry.counters.bytes_emitted,
            "errors": entry.counters.errors,
            "elapsed_secs": entry.elapsed_secs,
            "failure": entry.failure,
            "digest": entry.digest,
            "lateness_buckets": bucket_pairs(entry.lateness),
        }
        for entry in outcome.entries
    ]


def check_layout(chosen: Globals) -> None:
    """Raise CommandError for a layout that a dry run does not have."""
    if chosen.dry_run and chosen.layout not in _LAYOUTS:
        raise CommandError(f'invalid --format "{chosen.layout}"; valid values: {", ".join(_LAYOUTS)}')


def print_dry_run(scenario: ReadyScenario, layout: str) -> None:
    """Print what would run: text on stderr, JSON on stdout."""
    if layout == "json":
        click.echo(dry_run_json(scenario))
    else:
        click.echo(dry_run_text(scenario), err=True)


def watch_run(scenario: ReadyScenario, chosen: Globals, screen: Screen, session: Running) -> RunOutcome:
    """Run a scenario with everything that is printed about it; returns how it ended.

    Raises:
        CommandError: nothing was launched.
    """
    if chosen.verbose:
        screen.line(version_line(chosen.program))
        for line in config_lines(scenario):
            screen.line(line)
    if not chosen.quiet:
        for line in start_lines(scenario):
            screen.line(line, "green")
    progress: Silent | LiveProgress | LineProgress = Silent()
    if not chosen.quiet:
        progress = LiveProgress(screen, session.standing) if screen.is_terminal else LineProgress(screen)
    try:
        outcome = session.run(scenario.plan, progress)
    finally:
        progress.close()
    if not chosen.quiet and not outcome.unread and not outcome.abandoned:
        for line in stop_lines(scenario, outcome):
            screen.line(line, "cyan")
    return outcome
