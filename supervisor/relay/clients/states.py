"""States of client sockets, their names in answers and the transitions that are legal.

Everything that decides which state may follow which lives here. Source: docs/states.md, "Client sockets of the relay".
"""

from enum import Enum
from typing import Final


class SocketState(Enum):
    """State of the socket of one client; the value is what `GET /state` shows."""

    STOPPED = "stopped"
    LISTENING = "listening"
    STOPPING = "stopping"
    ERROR = "error"


SOCKET_TRANSITIONS: Final[dict[SocketState, frozenset[SocketState]]] = {
    SocketState.STOPPED: frozenset({SocketState.LISTENING, SocketState.ERROR}),
    SocketState.LISTENING: frozenset({SocketState.STOPPING, SocketState.ERROR}),
    SocketState.STOPPING: frozenset({SocketState.STOPPED}),
    SocketState.ERROR: frozenset({SocketState.LISTENING, SocketState.STOPPED}),
}


def check_socket_transition(current: SocketState, new: SocketState) -> None:
    """Raise ValueError when `new` may not follow `current`; staying in a state is always legal."""
    if new is not current and new not in SOCKET_TRANSITIONS[current]:
        raise ValueError(f"illegal change of a client's socket: {current.value} -> {new.value}")
