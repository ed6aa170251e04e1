"""`top`: the scenarios of a daemon on a live screen."""

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _top(_chosen: Globals, /, url: str | None) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.top import watch

    return watch(daemon_at(url))


COMMAND = Verb(
    "top",
    "Show the scenarios of a daemon on a live screen: rate against target, errors, state. `q` quits.",
    daemon_options()[:1],
    _top,
)
