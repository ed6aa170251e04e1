"""Waiting for something to become true, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], what: str, timeout_secs: float = 60) -> T:
    """Call `probe` until it returns something true, and return that.

    What is waited for is there in a moment on an idle machine; the default bears one that is very busy. The longer it
    takes, the rarer is the question, and a pause is no shorter than the question before it: asking keeps the processor
    from what is waited for.

    Raises:
        AssertionError: `timeout_secs` were over first; names `what` and the last result.
    """
    began = asked = time.monotonic()
    while not (result := probe()):
        answered = time.monotonic()
        waited_secs = answered - began
        assert waited_secs < timeout_secs, f"after {timeout_secs} s still not: {what} (last seen: {result!r})"
        time.sleep(max(answered - asked, min(max(0.01, waited_secs / 10), 0.25)))
        asked = time.monotonic()
    return result
