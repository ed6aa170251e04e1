"""What a Dask worker calls: tasks of `sondad fleet`, under a name that every installation of sondad can import.

A task names an action and has plain data, JSON in both directions, so that a host of another version can say so instead
of failing on a class that it does not know. Source: docs/more-than-one-machine.md, "How it works".
"""

from typing import Any

from sondad.entry import find_packages


def on_host(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do something on the host of this Dask worker, by its daemon.

    Args:
        action: a name of `supervisor.fleet.actions.ACTIONS`.
        request: its arguments.

    Returns:
        `{"done": …}`, or `{"fault": text}` when it could not be done; a second key says whether the daemon is gone.
    """
    find_packages()
    from supervisor.fleet.actions import perform

    return perform(action, request)
