"""Whether a failed delivery is tried again, and the wait before it. Source: docs/sinks.md, "Trying again"."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from common.errors import SinkError
from common.specs import Retry
from worker.control.waiting import Waiter
from worker.delivery.backoff import Backoff

_STOPPING_BACKOFF_SECS: Final = 0.1
"""Longest backoff once the scenario is stopping: what is left of the time is for attempts."""

_LONGEST_ASKED_SECS: Final = 300.0
"""Longest wait that a destination may ask for."""


_Request = TypeVar("_Request")
_Result = TypeVar("_Result")


class Retrying:
    """The `retry` block of one sink, at work.

    Args:
        retry: the block as written, or None for a single attempt.
        waiter: for backoff and log lines.
    """

    def __init__(self, retry: Retry | None, waiter: Waiter) -> None:
        self._backoff = None if retry is None else Backoff(retry)
        self._waiter = waiter

    def attempt(self, deliver: Callable[[_Request], _Result], request: _Request) -> tuple[_Result, bool]:
        """Return what `deliver` makes of `request`; it is called again when it fails and another attempt is due.

        Returns:
            The result, and whether an attempt before it was in doubt.

        Raises:
            SinkError: the failure that it ended with; in doubt when one of the attempts was.
        """
        retries, in_doubt = 0, False
        while True:
            try:
                return deliver(request), in_doubt
            except SinkError as exc:
                in_doubt = exc.in_doubt = exc.in_doubt or in_doubt
                if not self.tries_again(exc, retries):
                    raise
                retries += 1

    def tries_again(self, error: SinkError, attempt: int) -> bool:
        """Wait out the backoff when another attempt is due; log what happens.

        Args:
            error: how the last attempt failed.
            attempt: how many retries there were.
        """
        if self._backoff is None or not error.retriable:
            return False
        attempts = self._backoff.max_attempts
        if attempt == attempts or self._waiter.given_up:
            self._waiter.log(
                logging.WARNING, f"sonda: all {attempts} retries exhausted (last error: sink error: {error})"
            )
            return False
        secs = max(self._backoff.draw_secs(attempt), min(error.retry_after_secs, _LONGEST_ASKED_SECS))
        if self._waiter.stopping:
            secs = min(secs, _STOPPING_BACKOFF_SECS)
        self._waiter.log(
            logging.WARNING,
            f"sonda: retry {attempt + 1}/{attempts} after {int(secs * 1000)}ms (error: sink error: {error})",
        )
        self._waiter.pause(secs)
        return True
