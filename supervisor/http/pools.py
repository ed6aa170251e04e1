"""Which threads serve which requests, so that no request waits behind one that waits longer.

::

    control route      ─► control pool: as many threads as requests may be in flight; they wait for the main loop, and
                                        the queue is the wait for a permit
    /relay/…           ─► relay pool: waits for the relay, a second at most
    /health, /ready    ─► probe pool: answers at once, whatever the others are doing
    any other path     ─► observe pool: reads shared memory
"""

import time
from typing import Final

from supervisor.http.routes import Serves
from supervisor.http.waitress_parts import Channel, next_serves, thread_pool

_RELAY_THREADS: Final = 2
_PROBE_THREADS: Final = 1


class Pools:
    """waitress's task dispatcher: picks the pool by the request's route.

    Args:
        control_threads: how many control calls run at once.
        observe_threads: how many requests that only read run at once.
    """

    def __init__(self, control_threads: int, observe_threads: int) -> None:
        threads = {
            Serves.CONTROL: control_threads,
            Serves.RELAY: _RELAY_THREADS,
            Serves.PROBE: _PROBE_THREADS,
            Serves.READ: observe_threads,
        }
        self._pools = {serves: thread_pool(count, f"{__name__}.queue") for serves, count in threads.items()}

    def add_task(self, channel: Channel) -> None:
        """Queue the channel's next request; called in the I/O thread or by a pool's own threads."""
        self._pools[next_serves(channel)].add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Wait `timeout` seconds for running tasks to end; drop those still queued."""
        deadline = time.monotonic() + timeout
        for pool in self._pools.values():
            pool.set_thread_count(0)
        for pool in self._pools.values():
            pool.shutdown(cancel_pending, max(deadline - time.monotonic(), 0.0))

    def ended(self) -> bool:
        """Return whether no thread is left that could touch a channel."""
        return not any(pool.threads for pool in self._pools.values())
