"""Workers that host several scenarios, and which of them a scenario is placed in; main thread only.

A host takes guests until it is full, and exits with its last one. Few full hosts wake less often than many.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from common.errors import WireError
from common.messages import EntryMessage, Event, Finished, Host, Prepared
from common.sharing import Sharing
from supervisor.engine.guests import Guest
from supervisor.engine.placement import fullest_with_room, hosts_missing, shares_worker
from supervisor.engine.pool import Pool
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.workers import End, Workers
from supervisor.host.limits import shortage

_EXIT_SECS: Final = 5.0


class Hosts:
    """The workers that host scenarios, and their guests.

    Args:
        pool: where workers and rows are taken from.
        processes: kills them.
        sharing: who is to be a guest, and how many of them a worker has.
    """

    def __init__(self, pool: Pool[WorkerProcess], processes: Workers, sharing: Sharing) -> None:
        self._pool = pool
        self._processes = processes
        self._sharing = sharing
        self._guests: dict[WorkerProcess, dict[str, Guest]] = {}
        self._leaving: set[WorkerProcess] = set()
        self._avoided: Collection[WorkerProcess] = ()

    def shares(self, scenario: LaunchedScenario) -> bool:
        """Return whether a scenario is to be a guest."""
        return shares_worker(scenario.entry.plan, self._sharing)

    def workers_for(self, waiting: Sequence[LaunchedScenario]) -> int:
        """Return how many processes have to be had before all of these have a place."""
        guests = sum(self.shares(scenario) for scenario in waiting)
        return len(waiting) - guests + hosts_missing(guests, self._open(), self._sharing.per_worker)

    def refusal(self, waiting: Sequence[LaunchedScenario], events: int) -> str | None:
        """Return why there is no place for all of these and so many single events, or None."""
        workers = self.workers_for(waiting) + events
        if self._pool.room() < workers + sum(self.shares(scenario) for scenario in waiting):
            return f"all {self._pool.rows} places for scenarios are taken: DELETE finished ones first"
        missing = workers - len(self._pool.spares) - len(self._pool.starting)
        short = shortage(missing) if missing > 0 else None
        return short and f"no worker can be started: {short}: DELETE what is not needed, or raise the limit"

    def worker_for(self, scenario: LaunchedScenario) -> WorkerProcess | Guest | None:
        """Return a spare, or a place in a host, which may have been a spare; None while there is neither."""
        return self.place(scenario.id) if self.shares(scenario) else self._pool.take()

    @property
    def guests(self) -> Mapping[WorkerProcess, Mapping[str, Guest]]:
        """The workers that host scenarios, and their guests by the ids of scenarios."""
        return self._guests

    def avoid(self, hot: Collection[WorkerProcess]) -> None:
        """Place nobody in these from now on."""
        self._avoided = hot

    def place(self, scenario_id: str, row: int | None = None) -> Guest | None:
        """Return a place in a host, which may have been a spare, with a row of the board; None while there is none.

        Args:
            scenario_id: whose it is to be.
            row: the row that it has already.
        """
        if row is None and not self._pool.free_rows:
            return None
        guests = fullest_with_room(self._open(), self._sharing.per_worker)
        host = self._new_host() if guests is None else next(one for one in self._guests if self._guests[one] is guests)
        if host is None:
            return None
        why = "killed with its worker, because another scenario in it did not stop"
        row = self._pool.take_row() if row is None else row
        guest = Guest(host, scenario_id, row, partial(self._processes.kill, host, why))
        self._guests[host][scenario_id] = guest
        self._processes.admit(guest)
        return guest

    def _new_host(self) -> WorkerProcess | None:
        while (host := self._pool.take()) is not None:
            try:
                host.send(Host())
            except WireError:
                self._processes.kill(host, "killed: it did not take its command")
            else:
                self._guests[host] = {}
                break
        return host

    def hear(self, host: WorkerProcess, event: Event) -> Guest | None:
        """Take what a host says; returns the guest that is prepared now, if it is about one."""
        if not isinstance(event, EntryMessage) or event.scenario_id is None:
            return None
        guest = self._guests[host].get(event.scenario_id)
        if guest is not None and isinstance(event, Finished):
            self._leave(guest)
            self._processes.dismiss(guest, event)
        return guest if isinstance(event, Prepared) else None

    def _leave(self, guest: Guest) -> None:
        """Note that a guest has ended; a host without guests is told to exit."""
        guests = self._guests[guest.host]
        del guests[guest.scenario_id]
        if not guests and guest.host not in self._leaving:
            self._leaving.add(guest.host)
            self._processes.ask_to_stop(guest.host, _EXIT_SECS)

    def lost(self, host: WorkerProcess, end: End) -> None:
        """Note that a host is gone, and that its guests went with it."""
        self._leaving.discard(host)
        for guest in self._guests.pop(host).values():
            self._processes.dismiss(guest, None, end.reason or "its worker exited")

    def _open(self) -> list[dict[str, Guest]]:
        """Return the guests of each host that takes more."""
        return [
            guests
            for host, guests in self._guests.items()
            if host not in self._leaving and host not in self._avoided and not self._processes.was_killed(host)
        ]
