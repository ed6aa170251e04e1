"""Messages on a multiprocessing connection: msgpack, a size limit, and one error for every way a peer can be gone."""

from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Final, TypeVar

import msgspec

from common.errors import WireError
from common.messages import Command, Event, Message

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Above any plan: a body is limited to 1 MiB by default, and compiling enlarges it little."""

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_events: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def send(connection: "Connection", message: Message) -> None:
    """Send one message; blocks while the pipe is full.

    Raises:
        WireError: the peer is gone.
    """
    try:
        connection.send_bytes(_encoder.encode(message))
    except (OSError, ValueError) as exc:
        raise WireError(f"cannot send a message: {exc}") from exc


def send_with_descriptor(connection: "Connection", message: Message, descriptor: int) -> None:
    """Send one message and behind it a copy of `descriptor`; blocks while the pipe is full.

    Raises:
        WireError: the peer is gone.
    """
    send(connection, message)
    try:
        reduction.send_handle(connection, descriptor, None)
    except (OSError, ValueError) as exc:
        raise WireError(f"cannot send a descriptor: {exc}") from exc


def receive_descriptor(connection: "Connection") -> int:
    """Receive the descriptor behind the message received last; the caller is to close it.

    Raises:
        WireError: the peer is gone.
    """
    try:
        return reduction.recv_handle(connection)
    except (EOFError, OSError, RuntimeError) as exc:
        raise WireError(f"the descriptor behind a message did not arrive: {exc or 'end of file'}") from exc


def receive_command(connection: "Connection") -> Command:
    """Receive one command; blocks until it is there.

    Raises:
        WireError: the peer is gone, or what came is no command.
    """
    return _decode(_commands, _receive(connection))


def receive_event(connection: "Connection") -> Event:
    """Receive one event; blocks until it is there.

    Raises:
        WireError: the peer is gone, or what came is no event.
    """
    return _decode(_events, _receive(connection))


def _receive(connection: "Connection") -> bytes:
    try:
        return connection.recv_bytes(MAX_MESSAGE_BYTES)
    except (EOFError, OSError) as exc:
        raise WireError(f"the other end of the control pipe has gone: {exc or 'end of file'}") from exc


def _decode(decoder: msgspec.msgpack.Decoder[_T], payload: bytes) -> _T:
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError as exc:
        raise WireError(f"undecodable message on the control pipe: {exc}") from exc
