"""`test`: run a scenario and verify its alerts."""

import os

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Once, report_option


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
    from supervisor.cli.alerts.test import ALERTMANAGER_VARIABLE, PROMETHEUS_VARIABLE, AlertTestRequest, test_scenario

    return test_scenario(
        chosen,
        AlertTestRequest(
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
        Once(
            "--prometheus-url", metavar="URL", help="Prometheus to ask which rules fire (default $SONDA_PROMETHEUS_URL)"
        ),
        Once(
            "--alertmanager-url",
            metavar="URL",
            help="Alertmanager to ask which notifications arrive (default $SONDA_ALERTMANAGER_URL)",
        ),
        Once("--interval", metavar="DURATION", help="pause between two looks (default 5s)"),
        Once("--query-timeout", metavar="DURATION", help="timeout of one query (default 10s)"),
        Once("--query-step", metavar="DURATION", help="time between two points of a range query (default 5s)"),
        report_option(),
    ],
    _test,
)
