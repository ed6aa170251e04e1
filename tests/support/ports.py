"""Ports for programs that cannot choose one themselves."""

import secrets
import socket

_LOWEST, _END = 15_000, 32_000
"""Below those that the kernel hands out, so that nobody gets one of ours before its program has it."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    while True:
        port = _LOWEST + secrets.randbelow(_END - _LOWEST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
