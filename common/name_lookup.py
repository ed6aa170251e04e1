"""Questions to the name server that nobody has to wait for."""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


class NameLookup:
    """One question, on a thread of its own.

    The resolver of the C library cannot be interrupted; a lookup that is given up ends with the resolver's own limit,
    or with the process.

    Args:
        host: a name or an address.
        port: of the server.
        kind: of the socket.
        when_answered: called on the thread, when `addresses` may be asked.
    """

    def __init__(self, host: str, port: int, kind: socket.SocketKind, when_answered: Callable[[], object]) -> None:
        self._answer: Addresses | OSError | None = None
        self._question = (host, port, kind)
        self._when_answered = when_answered
        threading.Thread(target=self._ask, name=f"resolve {host}", daemon=True).start()

    def addresses(self) -> Addresses:
        """Return all addresses in the system's order of preference.

        Raises:
            OSError: the name is not known; a TimeoutError when there is no answer yet.
        """
        if self._answer is None:
            raise TimeoutError
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer

    def _ask(self) -> None:
        host, port, kind = self._question
        try:
            self._answer = socket.getaddrinfo(host, port, type=kind)
        except (OSError, UnicodeError) as exc:
            self._answer = exc if isinstance(exc, OSError) else OSError(str(exc))
        self._when_answered()


def numeric_addresses(host: str, port: int, kind: socket.SocketKind) -> Addresses | None:
    """Return what an address in digits stands for; None when `host` is a name."""
    try:
        return socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None
