"""Answers for callers who may have given up: a reply is claimed before it is filled."""

from concurrent.futures import Future
from typing import TypeVar

from common.errors import SondadError

T = TypeVar("T")


def answer(reply: "Future[T]", value: T) -> None:
    """Fill the reply; nothing happens when nobody waits any more."""
    if reply.set_running_or_notify_cancel():
        reply.set_result(value)


def refuse(reply: "Future[T]", error: SondadError) -> None:
    """Let the caller get `error`; nothing happens when nobody waits any more."""
    if reply.set_running_or_notify_cancel():
        reply.set_exception(error)
