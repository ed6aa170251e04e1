"""`test`: run a scenario and verify its alerts."""

import os

import click

from supervisor.cli.grammar import Globals, Once, Verb, pass_globals, report_option


@pass_globals
def _test(
    chosen: Globals,
    /,
    scenario: str,
    prometheus_url: str | None,
    alertmanager_url: str | None,
    interval: str | None,
    query_timeout: str | None,
    query_step: str | None,
    report: str | None,
) -> int:
    from supervisor.cli.alerts.test import ALERTMANAGER_VARIABLE, PROMETHEUS_VARIABLE, Request, test_scenario

    return test_scenario(
        chosen,
        Request(
            scenario,
            prometheus_url or os.environ.get(PROMETHEUS_VARIABLE) or None,
            alertmanager_url or os.environ.get(ALERTMANAGER_VARIABLE) or None,
            interval or "5s",
            query_timeout or "10s",
            query_step or "5s",
            report,
        ),
    )


COMMAND = Verb(
    "test",
    "Run a scenario and check that the alerts of its `expect:` block fire and resolve in time.",
    [
        click.Argument(["scenario"], metavar="SCENARIO"),
        Once("--prometheus-url", metavar="URL", help="whether rules fire; SONDA_PROMETHEUS_URL does the same"),
        Once(
            "--alertmanager-url",
            metavar="URL",
            help="whether notifications arrive; SONDA_ALERTMANAGER_URL does the same",
        ),
        Once("--interval", metavar="DURATION", help="pause between two looks (default 5s)"),
        Once("--query-timeout", metavar="DURATION", help="of one query (default 10s)"),
        Once("--query-step", metavar="DURATION", help="distance of the points of range queries (default 5s)"),
        report_option(),
    ],
    _test,
)
