"""The order of a run: read, print what was asked for, launch, show, sum up. Source: docs/command-line.md, "run"."""

import click

from supervisor.cli.failures import ABANDONED, FAILED, OK, CommandError
from supervisor.cli.grammar import Globals
from supervisor.cli.logs import CommandLogs
from supervisor.cli.running.banners import start_lines, stop_lines
from supervisor.cli.running.dry_run import dry_run_json, dry_run_text
from supervisor.cli.running.overrides import Overrides
from supervisor.cli.running.progress import LineProgress, LiveProgress, Silent
from supervisor.cli.running.session import Outcome, Session
from supervisor.cli.running.source import Scenario, load
from supervisor.cli.running.verbose import config_lines, version_line
from supervisor.cli.screen import Screen

_LAYOUTS = ("text", "json")


def run_file(chosen: Globals, reference: str, overrides: Overrides) -> int:
    """Run a scenario, or print what would run; returns the exit code.

    Raises:
        CommandError: it cannot run, or an entry failed.
    """
    check_layout(chosen)
    if chosen.dry_run:
        with CommandLogs(quiet=chosen.quiet):
            print_dry_run(load(reference, chosen.catalog, overrides.apply), chosen.layout)
        return OK
    with CommandLogs(quiet=chosen.quiet), Session() as session:
        scenario = load(reference, chosen.catalog, overrides.apply)
        outcome = watch_run(scenario, chosen, Screen(), session)
    if outcome.abandoned:
        return ABANDONED
    if outcome.failures and not outcome.unread:
        raise CommandError("; ".join(outcome.failures), FAILED)
    return OK


def check_layout(chosen: Globals) -> None:
    """Raise CommandError for a layout that a dry run does not have."""
    if chosen.dry_run and chosen.layout not in _LAYOUTS:
        raise CommandError(f'invalid --format "{chosen.layout}"; valid values: {", ".join(_LAYOUTS)}')


def print_dry_run(scenario: Scenario, layout: str) -> None:
    """Print what would run: text on stderr, JSON on stdout."""
    if layout == "json":
        click.echo(dry_run_json(scenario))
    else:
        click.echo(dry_run_text(scenario), err=True)


def watch_run(scenario: Scenario, chosen: Globals, screen: Screen, session: Session) -> Outcome:
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
    progress = Silent() if chosen.quiet else LiveProgress(screen) if screen.is_terminal else LineProgress(screen)
    try:
        outcome = session.run(scenario.plan, progress)
    finally:
        progress.close()
    if not chosen.quiet and not outcome.unread and not outcome.abandoned:
        for line in stop_lines(scenario, outcome):
            screen.line(line, "cyan")
    return outcome
