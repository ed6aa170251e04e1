"""Whether the relay may use the network: its unit keeps it from it unless a drop-in says otherwise.

Source: systemd.exec(5), "RestrictAddressFamilies="; docs/relay.md, "As a service".
"""

import errno
import socket
from functools import cache
from typing import Final

from supervisor.host.roundtrip import Target

NO_NETWORK: Final = (
    'this service has no network; the drop-in sondad-relay-network.conf gives it one (docs/relay.md, "As a service")'
)
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


@cache
def has_network() -> bool:
    """Return whether this process may have sockets of the internet; that never changes."""
    return any(_is_allowed(family) for family in _FAMILIES)


def out_of_reach(target: Target) -> str | None:
    """Return why a request to `target` cannot even be tried; None when it can."""
    return None if target.scheme == "unix" or has_network() else NO_NETWORK


def _is_allowed(family: socket.AddressFamily) -> bool:
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as exc:
        return exc.errno != errno.EAFNOSUPPORT
    return True
