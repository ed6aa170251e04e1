"""Which threads serve which requests, so that no request waits behind one that waits longer.

::

    control route      ─► control pool: as many threads as requests may be in flight; they wait for the main loop, and
                                        the queue is the wait for a permit
    /relay/…           ─► relay pool: waits for the relay, a second at most
    /health, /ready    ─► probe pool: answers at once, whatever the others are doing
    any other path     ─► observe pool: reads shared memory
"""

import logging
import time
from typing import Any, Final

from waitress.task import ThreadedTaskDispatcher

from supervisor.http.paths import is_control, is_probe, is_relay, raw_path

_RELAY_THREADS: Final = 2
_PROBE_THREADS: Final = 1


class Pools:
    """waitress's task dispatcher: picks the pool by the request's path.

    Args:
        control_threads: how many control calls run at once.
        observe_threads: how many requests that only read run at once.
    """

    def __init__(self, control_threads: int, observe_threads: int) -> None:
        self._control = _pool(control_threads)
        self._relay = _pool(_RELAY_THREADS)
        self._probe = _pool(_PROBE_THREADS)
        self._observe = _pool(observe_threads)
        self._all = (self._control, self._relay, self._probe, self._observe)

    def add_task(self, channel: Any) -> None:
        """Queue the channel's next request; called in the I/O thread or by a pool's own threads."""
        # A request that could not be parsed has no target.
        path = raw_path(getattr(channel.requests[0], "request_uri", ""))
        if is_control(path):
            pool = self._control
        elif is_relay(path):
            pool = self._relay
        else:
            pool = self._probe if is_probe(path) else self._observe
        pool.add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Wait `timeout` seconds for running tasks to end; drop those still queued."""
        deadline = time.monotonic() + timeout
        for pool in self._all:
            pool.set_thread_count(0)
        for pool in self._all:
            pool.shutdown(cancel_pending, max(deadline - time.monotonic(), 0.0))

    def ended(self) -> bool:
        """Return whether no thread is left that could touch a channel."""
        return not any(pool.threads for pool in self._all)


def _pool(threads: int) -> ThreadedTaskDispatcher:
    pool = ThreadedTaskDispatcher()
    # A queue of control calls is the wait for a permit, nothing to warn about.
    pool.queue_logger = logging.getLogger(f"{__name__}.queue")
    pool.queue_logger.disabled = True
    pool.set_thread_count(threads)
    return pool
