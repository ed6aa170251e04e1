"""Answers for callers who may have given up: a slot is claimed before it is filled."""

from concurrent.futures import Future
from typing import TypeVar

from common.errors import SondadError

T = TypeVar("T")


def answer(slot: "Future[T]", value: T) -> None:
    """Fill the slot; nothing happens when nobody waits any more."""
    if slot.set_running_or_notify_cancel():
        slot.set_result(value)


def refuse(slot: "Future[T]", error: SondadError) -> None:
    """Let the caller get `error`; nothing happens when nobody waits any more."""
    if slot.set_running_or_notify_cancel():
        slot.set_exception(error)
