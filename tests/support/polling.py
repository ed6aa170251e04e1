"""Waiting for something to become true, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], what: str, timeout_secs: float = 60) -> T:
    """Call `probe` until it returns something true, and return that.

    What is waited for is there in a moment on an idle machine; the default bears one that is very busy.

    Raises:
        AssertionError: `timeout_secs` were over first; names `what` and the last result.
    """
    deadline = time.monotonic() + timeout_secs
    while not (result := probe()):
        assert time.monotonic() < deadline, f"after {timeout_secs} s still not: {what} (last seen: {result!r})"
        time.sleep(0.01)
    return result
