"""Which scenarios share a worker, and how many workers that takes. Pure."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Final, TypeVar

from common.plan import EntryPlan
from common.specs import Isolation

DEFAULT_PER_WORKER: Final = 64
"""How many scenarios share a worker at most."""

MOST_SHARED_EVENTS_PER_SEC: Final = 20_000
"""Above this a scenario keeps a worker so busy that others would wait for it."""

S = TypeVar("S", bound=Sized)


def fits_in_shared(plan: EntryPlan) -> bool:
    """Return whether an entry leaves others of its process their turns."""
    multiplier = 1.0 if plan.bursts is None else max(plan.bursts.multiplier, 1.0)
    return plan.rate * multiplier <= MOST_SHARED_EVENTS_PER_SEC


def fullest_with_room(hosts: Iterable[S], per_worker: int) -> S | None:
    """Return the one with the most guests that has room for another, or None: fewer processes wake less often."""
    return max((host for host in hosts if len(host) < per_worker), key=len, default=None)


def hosts_missing(waiting: int, hosts: Iterable[Sized], per_worker: int) -> int:
    """Return how many further hosts so many guests need."""
    room = sum(max(per_worker - len(host), 0) for host in hosts)
    return max(-(-(waiting - room) // per_worker), 0)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which entries share a worker.

    Attributes:
        isolation: what holds for entries that do not say.
        per_worker: how many of them share one at most.
    """

    isolation: Isolation = "process"
    per_worker: int = DEFAULT_PER_WORKER

    def holds_for(self, plan: EntryPlan) -> bool:
        """Return whether an entry is to share a worker."""
        return (plan.isolation or self.isolation) == "shared" and fits_in_shared(plan)


SEPARATE: Final = Sharing()
"""Only entries that ask for it share a worker."""
