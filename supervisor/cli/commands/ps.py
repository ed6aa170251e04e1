"""`ps`: the scenarios of a daemon."""

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _ps(_chosen: Globals, /, url: str | None, *, as_json: bool) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.operations import print_scenarios

    return print_scenarios(daemon_at(url), as_json=as_json)


COMMAND = Verb("ps", "List the scenarios of a daemon, in the order of their launch.", daemon_options(), _ps)
