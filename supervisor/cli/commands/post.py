"""`post`: launch scenario files on a daemon."""

import click

from common.segments import Segment
from supervisor.cli.asked import asked_options
from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Switch, daemon_options


@pass_globals
def _post(
    _chosen: Globals,
    /,
    files: tuple[str, ...],
    url: str | None,
    segment: Segment | None,
    start_at: str | None,
    *,
    digest: bool,
    wait: bool,
    replace: bool,
    as_json: bool,
) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.posting import post

    query = {"segment": segment, "start_at": start_at, "digest": "true" if digest else None}
    return post(daemon_at(url), files, query, wait=wait, replace=replace, as_json=as_json)


COMMAND = Verb(
    "post",
    "Launch scenario files on a daemon; `-` is standard input, and a name that ends in .json is JSON.",
    [
        click.Argument(["files"], nargs=-1, required=True, metavar="FILE..."),
        Switch("--wait", help="wait until everything launched has finished; fail when something failed"),
        Switch("--replace", help="first stop what runs under the same scenario_name"),
        *asked_options(),
        *daemon_options(),
    ],
    _post,
)
