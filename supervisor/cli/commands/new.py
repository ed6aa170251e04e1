"""`new`: write a scenario file."""

from typing import Any

from supervisor.cli.commands.run import number
from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Many, Once, Switch

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
        from supervisor.cli.writing.capture import CaptureRequest
        from supervisor.cli.writing.capture import capture as run_capture

        return run_capture(CaptureRequest(url=url, **capture), output)
    from supervisor.cli.writing.scaffold import csv_text, template_text

    if template:
        return deliver(template_text(), output)
    if csv is not None:
        return deliver(csv_text(csv), output)
    from supervisor.cli.writing.questions import asked_text

    return deliver(asked_text(), output)


COMMAND = Verb(
    "new",
    "Write a scenario file: from a template, from the shapes of a CSV file's columns, or from a range query of a "
    "Prometheus. Without any of these, ask on the terminal.",
    [
        Switch("--template", help="the smallest file that runs", excludes=_SOURCE),
        Once(
            "--from", "csv", metavar="CSV", help="one entry per column, with a generator of its shape", excludes=_SOURCE
        ),
        Once("-o", "--output", metavar="OUTPUT", help="write to this file instead of standard output"),
        Once("--query", metavar="PROMQL", help="the query to capture", requires=_SOURCE),
        Once("--step", metavar="DURATION", help="resolution of the query", requires=_SOURCE),
        Once("--out", metavar="PATH", help="write the captured samples to this CSV file", requires=_SOURCE),
        Once(
            "--from-prometheus",
            "url",
            metavar="URL",
            help="run a range query on this server, and write a CSV file and a scenario that replays it",
            requires=("--query", "--step", "--out"),
        ),
        Once("--range", "range_", metavar="DURATION", help="range of the query, up to now", requires=_SOURCE),
        Once("--start", metavar="INSTANT", help="start of the range, unix seconds or RFC 3339", requires=_SOURCE),
        Once("--end", metavar="INSTANT", help="end of the range", requires=_SOURCE),
        Once("--timescale", metavar="FACTOR", help="replay FACTOR times as fast", read=number, requires=_SOURCE),
        Many(
            "--header",
            "headers",
            metavar="HEADER",
            help="header of the request, 'Name: value'; repeatable",
            read=_header,
            requires=_SOURCE,
        ),
        Once("--metric-name", metavar="NAME", help="name for series without one", requires=_SOURCE),
    ],
    _new,
)
