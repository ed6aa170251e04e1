"""TCP listening sockets of the relay.

Source: examples/relay.yaml.
"""

import socket
from typing import Final

from common.errors import StartupError
from supervisor.relay.config.addresses import TcpAddress

_BACKLOG: Final = 1024


def listen_tcp(address: TcpAddress) -> socket.socket:
    """Return a non-blocking listener at `address`.

    Raises:
        StartupError: it cannot be created.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(target)
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as exc:
        text = f"cannot listen on {address.host} port {address.port}: {exc.strerror}; choose another address"
        raise StartupError(text) from exc
    return sock
