"""`ps`, `stats`, `stop` and `logs`. Source: docs/command-line.md, "A running daemon"."""

import click

from supervisor.cli.daemon.client import Daemon, JsonObject
from supervisor.cli.daemon.tables import print_json, print_table, rate_now
from supervisor.cli.failures import FAILED, OK
from supervisor.cli.running.words import bytes_text, elapsed_text


def print_scenarios(daemon: Daemon, *, as_json: bool) -> int:
    """List the scenarios."""
    listed = daemon.scenarios()
    if as_json:
        print_json(listed)
        return OK
    rows = [
        (one["id"], one["name"], _state(one["state"], degraded=one["degraded"]), elapsed_text(one["elapsed_secs"]))
        for one in listed
    ]
    print_table(("ID", "NAME", "STATE", "ELAPSED"), rows)
    return OK


def print_stats(daemon: Daemon, name_or_id: str | None, *, as_json: bool) -> int:
    """Show the figures of the scenarios of a name or id, or of all."""
    stats = daemon.figures(name_or_id)
    if as_json:
        print_json(stats)
        return OK
    print_table(
        ("NAME", "STATE", "EVENTS", "RATE", "TARGET", "BYTES", "ERRORS", "ELAPSED"), [_row(one) for one in stats]
    )
    return OK


def stop(daemon: Daemon, name_or_id: str | None, *, as_json: bool) -> int:
    """Stop and remove the scenarios of a name or id, or all."""
    found = daemon.matching(name_or_id)
    stopped = [{"name": one["name"], **daemon.delete(one["id"])} for one in found]
    if as_json:
        print_json(stopped)
    else:
        rows = [(one["id"], one["name"], one["status"], str(one["total_events"])) for one in stopped]
        print_table(("ID", "NAME", "STATUS", "EVENTS"), rows)
    return OK if all(one["status"] == "stopped" for one in stopped) else FAILED


def print_errors(daemon: Daemon, name_or_id: str, *, as_json: bool) -> int:
    """Show what went wrong last with the scenarios of a name or id."""
    details = [daemon.detail(one["id"]) for one in daemon.matching(name_or_id)]
    shown = [
        {
            "id": one["id"],
            "name": one["name"],
            "state": one["state"],
            "exit_reason": one.get("exit_reason"),
            "last_sink_error": one["stats"]["last_sink_error"],
            "consecutive_failures": one["stats"]["consecutive_failures"],
            "total_sink_failures": one["stats"]["total_sink_failures"],
        }
        for one in details
    ]
    if as_json:
        print_json(shown)
        return OK
    for one in shown:
        click.echo(f"{one['name']} ({one['id']}): {one['state']}")
        if one["exit_reason"] is not None:
            click.echo(f"  ended: {one['exit_reason']}")
        if one["last_sink_error"] is not None:
            failures = (
                f"{one['total_sink_failures']} sink failures, {one['consecutive_failures']} since the last success"
            )
            click.echo(f"  {failures}; the last: {one['last_sink_error']}")
        elif one["exit_reason"] is None:
            click.echo("  no errors")
    return OK


def _row(one: JsonObject) -> tuple[str, ...]:
    return (
        one["name"],
        _state(one["state"], degraded=one["degraded"]),
        str(one["total_events"]),
        f"{rate_now(one):.1f}/s",
        f"{one['target_rate']:g}/s",
        bytes_text(one["bytes_emitted"]),
        str(one["errors"]),
        elapsed_text(one["uptime_secs"]),
    )


def _state(state: str, *, degraded: bool) -> str:
    return f"{state} (degraded)" if degraded else state
