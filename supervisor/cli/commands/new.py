"""`new`: write a scenario file."""

from typing import Any

from supervisor.cli.commands.run import number
from supervisor.cli.grammar import Globals, Many, Once, Switch, Verb, pass_globals

_SOURCE = ("--from-prometheus",)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError("expected `Name: value`")
    if not name.strip():
        raise ValueError(f'header name is empty in "{text}"')
    return name.strip(), value.strip()


@pass_globals
def _new(
    _chosen: Globals, /, csv: str | None, output: str | None, url: str | None, *, template: bool, **capture: Any
) -> int:
    from supervisor.cli.writing.document import deliver

    if url is not None:
        from supervisor.cli.writing.capture import Request
        from supervisor.cli.writing.capture import capture as run_capture

        return run_capture(Request(url=url, **capture), output)
    from supervisor.cli.writing.scaffold import csv_text, template_text

    if template:
        return deliver(template_text(), output)
    if csv is not None:
        return deliver(csv_text(csv), output)
    from supervisor.cli.writing.questions import asked_text

    return deliver(asked_text(), output)


COMMAND = Verb(
    "new",
    "Write a scenario file: a template, the shapes of a CSV file's columns, a range of a Prometheus, or, without any "
    "of these, what questions on the terminal are answered with.",
    [
        Switch("--template", help="the smallest file that runs", excludes=_SOURCE),
        Once("--from", "csv", metavar="CSV", help="an entry for each column, of its shape", excludes=_SOURCE),
        Once("-o", "--output", metavar="OUTPUT", help="write to this file instead of standard output"),
        Once("--query", metavar="PROMQL", help="what to capture", requires=_SOURCE),
        Once("--step", metavar="DURATION", help="distance of the points", requires=_SOURCE),
        Once("--out", metavar="PATH", help="the CSV file of the capture", requires=_SOURCE),
        Once(
            "--from-prometheus",
            "url",
            metavar="URL",
            help="capture a range query of this server: a CSV file and the scenario that replays it",
            requires=("--query", "--step", "--out"),
        ),
        Once("--range", "range_", metavar="DURATION", help="window of the capture, up to now", requires=_SOURCE),
        Once("--start", metavar="INSTANT", help="its start, unix seconds or RFC 3339", requires=_SOURCE),
        Once("--end", metavar="INSTANT", help="its end", requires=_SOURCE),
        Once("--timescale", metavar="FACTOR", help="replay so many times as fast", read=number, requires=_SOURCE),
        Many("--header", "headers", metavar="HEADER", help="'Name: value', repeatable", read=_header, requires=_SOURCE),
        Once("--metric-name", metavar="NAME", help="name of series that have none", requires=_SOURCE),
    ],
    _new,
)
