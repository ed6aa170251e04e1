"""The listening socket that the service manager hands over, when it listens in the daemon's place.

It stays open in the manager while the daemon restarts, so that connections wait instead of being refused.

Source: sd_listen_fds(3) and systemd.socket(5) of systemd.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from common.errors import StartupError, os_error_text

_FIRST_DESCRIPTOR: Final = 3


def inherited_listener(environment: MutableMapping[str, str]) -> socket.socket | None:
    """Return the socket that the service manager listens on for this process, or None when there is none.

    Args:
        environment: the process's own; LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are taken out of it, so that no child
            believes it was meant.

    Raises:
        StartupError: it is not one TCP socket that listens.
    """
    meant_for, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if meant_for != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        return None
    if int(count) != 1:
        raise StartupError(f"the socket unit hands over {count} sockets; give it one ListenStream=")
    try:
        listener = socket.socket(fileno=_FIRST_DESCRIPTOR)
    except OSError as exc:
        raise StartupError(f"the socket of the socket unit cannot be used: {os_error_text(exc)}") from exc
    is_tcp = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
    if not is_tcp or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise StartupError("the socket unit must listen on TCP: ListenStream=ADDRESS:PORT and Accept=no")
    listener.set_inheritable(False)
    return listener
