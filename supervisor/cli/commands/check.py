"""`check`: one report to the relay."""

import click

from supervisor.cli.checks.metrics import Metric, metric_of
from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Many, Once, Switch, read_secs

_STATUSES = ("ok", "warn", "error")
_TIMEOUT_SECS = 30.0
_PLUGIN_SECS = 60.0


def _status(text: str) -> str:
    if text not in _STATUSES:
        raise ValueError("expected ok, warn or error")
    return text


@pass_globals
def _check(
    _chosen: Globals,
    /,
    check: str,
    plugin: tuple[str, ...],
    status: str | None,
    message: str | None,
    metrics: tuple[Metric, ...],
    root: str | None,
    timeout: float | None,
    plugin_timeout: float | None,
    socket: str | None,
    client: str | None,
    *,
    start: bool,
    stop: bool,
) -> int:
    import os

    from supervisor.cli.checks.metrics import named
    from supervisor.cli.checks.plugin import PluginOutcome, run_plugin
    from supervisor.cli.checks.sending import client_socket, notify, report
    from supervisor.cli.failures import OK

    if start or stop:
        if plugin or status is not None or metrics:
            raise click.UsageError("--start and --stop take the name of a client and nothing else")
        notify(socket, check, "start" if start else "stop")
        return OK
    if (status is None) == (not plugin):
        raise click.UsageError("either --status or a plugin behind '--' is needed, not both")
    path = client_socket(socket, client, os.environ)
    said = PluginOutcome(status or "", message or "", [])
    outcome = run_plugin(plugin, plugin_timeout or _PLUGIN_SECS) if plugin else said
    body = {
        "status": outcome.status,
        "message": outcome.message if message is None else message,
        "metrics": named([*outcome.metrics, *metrics], check, root),
    }
    report(path, check, body, timeout or _TIMEOUT_SECS)
    return OK


COMMAND = Verb(
    "check",
    "Report a check to the relay, and wait until it is accepted: a status, or what a monitoring plugin finds out.",
    [
        click.Argument(["check"], metavar="CHECK"),
        click.Argument(["plugin"], nargs=-1, metavar="[-- PLUGIN ARGS...]"),
        Once("--status", metavar="STATUS", help="ok, warn or error", read=_status),
        Once("--message", metavar="TEXT", help="what people are to read (default: first line of the plugin)"),
        Many("--metric", "metrics", metavar="NAME=VALUE[:TYPE]", help="a metric; may be repeated", read=metric_of),
        Once("--urn", "root", metavar="URN", help="what metric names begin with (default: the check, or urn:CHECK)"),
        Once("--timeout", metavar="DURATION", help="how long to try (default 30s)", read=read_secs),
        Once("--plugin-timeout", metavar="DURATION", help="how long the plugin may take (default 60s)", read=read_secs),
        Once("--socket", metavar="PATH", help="the socket of the client (default $SONDAD_SOCKET, else the only one)"),
        Once("--client", metavar="NAME", help="the client, by its default socket", excludes=("--socket",)),
        Switch("--start", help="open the socket of the client CHECK, by the notify socket", excludes=("--stop",)),
        Switch("--stop", help="close it"),
    ],
    _check,
)
