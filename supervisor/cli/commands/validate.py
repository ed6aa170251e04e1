"""`validate`: every fault of scenario files, with its place."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _validate(chosen: Globals, /, files: tuple[str, ...], url: str | None, *, as_json: bool) -> int:
    if url is not None:
        from supervisor.cli.daemon.client import daemon_at
        from supervisor.cli.daemon.posting import validate_on

        return validate_on(daemon_at(url), files, as_json=as_json)
    from supervisor.cli.daemon.validation import validate_here

    return validate_here(files, chosen.catalog, as_json=as_json)


COMMAND = Verb(
    "validate",
    "Check scenario files and print every fault with its place: here, or with --url as that daemon would.",
    [click.Argument(["files"], nargs=-1, required=True, metavar="FILE..."), *daemon_options()],
    _validate,
)
