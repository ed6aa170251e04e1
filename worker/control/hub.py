"""Several entries in one process: one loop, one heap of deadlines, one selector; each entry runs in a greenlet.

::

    entry ──waits──► berth ──until──► heap of deadlines ─┐
    entry ──waits──► berth ──for──► epoll ───────────────┼──► hub: one select for all ──► whose turn it is goes on
    process: commands, SIGTERM, death of the supervisor ─┘

An entry runs until it waits; then the hub lets the next one run whose wait is over. Nothing here needs an entry's
consent: sinks, retries and gates wait by the same protocol as in a process of their own, so that one that waits holds
up nobody.

PERF: a timed sleep costs 30 to 60 µs of processor time, most of it in the kernel, and this loop makes one for all.
"""

import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from greenlet import getcurrent, greenlet

from common.clock import Clock
from worker.control.control import Control

_FINEST_GRID_NS: Final = 1_000_000
_COARSE_GRID_NS: Final = 10_000_000
_SLACK_GRIDS: Final = 5

_STALE_DEADLINES: Final = 64
"""How many deadlines of waits that ended early are carried along, besides one for each berth."""


def grid_for(slack_ns: int) -> int:
    """Return what deadlines are rounded up to, where ticks may be fired so late."""
    return min(max(slack_ns, _FINEST_GRID_NS), max(slack_ns // _SLACK_GRIDS, _COARSE_GRID_NS))


class Hub:
    """The loop of a process that hosts entries; used by its main thread only.

    Deadlines are rounded up to a grid, so that entries whose ticks lie between one another wake the process together:
    to whole milliseconds, or to the slack that the machine needs, up to 10 ms or a fifth of it.

    Args:
        control: the process.
        clock: the monotonic clock of all deadlines.
        slack_ns: returns how late ticks may be fired together with others.

    Attributes:
        loop: the greenlet that turns it, to which every other one returns.
    """

    def __init__(self, control: Control, clock: Clock, slack_ns: Callable[[], int]) -> None:
        self._control = control
        self._clock = clock
        self._slack_ns = slack_ns
        # The descriptor of an epoll set is one that select() takes, whatever numbers are in the set; and select() alone
        # waits to the microsecond.
        self._epoll = select.epoll()
        self._waiting_for: dict[int, Berth] = {}
        self._deadlines: list[tuple[int, int, Berth]] = []
        self._turns: deque[Berth] = deque()
        self._berths: set[Berth] = set()
        self.loop = getcurrent()
        self._waits = 0
        self._accounted_ns = time.thread_time_ns()

    def __len__(self) -> int:
        """Return how many entries there are, and lanes beside them."""
        return len(self._berths)

    def host(self, run: "Callable[[Berth], None]") -> "Berth":
        """Let `run` have turns from now on, until it returns; it waits by the berth that it is called with."""
        berth = Berth(self, run)
        self._berths.add(berth)
        berth.wake()
        return berth

    def turn(self) -> None:
        """Wait until somebody's wait is over or something has arrived, and let each whose turn it is go on once."""
        until_ns = 0 if self._turns else self._next_wake_ns()
        if self._control.select((self._epoll.fileno(),), (), until_ns):
            for descriptor, _ in self._epoll.poll(0):
                berth = self._waiting_for[descriptor]
                berth.ready.append(descriptor)
                berth.wake()
        now_ns = self._clock.monotonic_ns()
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, wait, berth = heapq.heappop(self._deadlines)
            if wait == berth.wait:
                berth.wake()
        for _ in range(len(self._turns)):
            berth = self._turns.popleft()
            if berth.is_over:
                # Woken in its last turn.
                continue
            berth.resume()
            # The first of a turn pays for the wake-up that others share.
            used_ns = time.thread_time_ns()
            berth.payer.used_ns += used_ns - self._accounted_ns
            self._accounted_ns = used_ns
            if berth.is_over:
                self._berths.remove(berth)

    def close(self) -> None:
        """Release the selector; no entry may be left."""
        self._epoll.close()

    def enter(self, berth: "Berth", until_ns: int | None) -> int:
        """Note that a wait begins, and return its number."""
        self._waits += 1
        if until_ns is not None:
            heapq.heappush(self._deadlines, (until_ns, self._waits, berth))
            if len(self._deadlines) > 2 * len(self._berths) + _STALE_DEADLINES:
                self._deadlines = [one for one in self._deadlines if one[1] in (one[2].wait, self._waits)]
                heapq.heapify(self._deadlines)
        return self._waits

    def give_turn(self, berth: "Berth") -> None:
        """Let a berth go on in the next turn; safe in a signal handler."""
        self._turns.append(berth)

    def watch(self, berth: "Berth", descriptor: int, events: int) -> int | None:
        """Wake `berth` by a descriptor; return the number it is watched by, None for a file, which is always ready."""
        watched = descriptor
        try:
            self._epoll.register(watched, events)
        except FileExistsError:
            # Another entry waits for the same one, such as stdout.
            watched = os.dup(descriptor)
            self._epoll.register(watched, events)
        except PermissionError:
            return None
        self._waiting_for[watched] = berth
        return watched

    def unwatch(self, watched: int, descriptor: int) -> None:
        """Undo `watch`."""
        del self._waiting_for[watched]
        self._epoll.unregister(watched)
        if watched != descriptor:
            os.close(watched)

    def _next_wake_ns(self) -> int | None:
        while self._deadlines and self._deadlines[0][1] != self._deadlines[0][2].wait:
            heapq.heappop(self._deadlines)
        if not self._deadlines:
            return None
        grid_ns = grid_for(self._slack_ns())
        return -(-self._deadlines[0][0] // grid_ns) * grid_ns


class Berth:
    """The `SharedPlace` of one entry in a hub, or of work beside it.

    Args:
        hub: the loop.
        run: what the entry does.

    Attributes:
        wait: the number of the wait that the entry is in.
        ready: the watched descriptors that were found ready.
        used_ns: the processor time of the turns that are over, those beside it included.
        payer: whose turns these are: the berth itself, or the one that it is beside.
    """

    __slots__ = ("_has_turn", "_hub", "_loop", "_runs", "payer", "ready", "used_ns", "wait")

    def __init__(self, hub: Hub, run: "Callable[[Berth], None]") -> None:
        self._hub = hub
        self._loop = hub.loop
        self._runs = greenlet(lambda: run(self), hub.loop)
        self._has_turn = False
        self.wait = 0
        self.ready: list[int] = []
        self.used_ns = 0
        self.payer = self

    @property
    def is_over(self) -> bool:
        """Whether the entry has ended."""
        return bool(self._runs.dead)

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int | None) -> Sequence[int]:
        """Wait once, as `Place.select`, while others have their turns."""
        hub = self._hub
        self.wait = hub.enter(self, until_ns)
        if not readable and not writable:
            self._loop.switch()
            return ()
        asked = [(one, select.EPOLLIN) for one in readable] + [(one, select.EPOLLOUT) for one in writable]
        watched: dict[int, int] = {}
        always = []
        for descriptor, events in asked:
            number = hub.watch(self, descriptor, events)
            if number is None:
                always.append(descriptor)
            else:
                watched[number] = descriptor
        try:
            if not always:
                self._loop.switch()
            return always + [watched[number] for number in self.ready]
        finally:
            self.ready.clear()
            for number, descriptor in watched.items():
                hub.unwatch(number, descriptor)

    def beside(self, work: Callable[[], None]) -> "Berth":
        """Let `work` have turns of its own, as `SharedPlace.beside`."""
        berth = self._hub.host(lambda _: work())
        berth.payer = self.payer
        return berth

    def may_block(self) -> bool:
        """Return False: others have their turns meanwhile."""
        return False

    def cpu_ns(self) -> int:
        """Return the processor time of the entry's turns."""
        return self.payer.used_ns

    def wake(self) -> None:
        """End the wait that the entry is in, if it is in one; safe in a signal handler."""
        if not self._has_turn and not self.is_over:
            self._has_turn = True
            self._hub.give_turn(self)

    def resume(self) -> None:
        """Let the entry go on until it waits again; for the hub."""
        self._has_turn = False
        self.wait = 0
        self._runs.switch()
