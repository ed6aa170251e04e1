"""Which scenarios share a worker, and how many workers that takes. Pure."""

from collections.abc import Iterable, Sized
from typing import Final, TypeVar

from common.plan import EntryPlan, Histogram, Summary
from common.sharing import Sharing

MOST_SHARED_EVENTS_PER_SEC: Final = 20_000
"""Above this a scenario keeps a worker so busy that others would wait for it."""

MOST_SHARED_DRAWS_PER_SEC: Final = 2_000_000
"""The same for the observations of histograms and summaries."""

MOST_AUTO_EVENTS_PER_SEC: Final = 1000
"""Up to here `auto` shares: measured, an entry then costs a fourth of what it costs in a process of its own, and
sixty-four of them leave their worker a part of its core."""

S = TypeVar("S", bound=Sized)


def fits_in_shared(plan: EntryPlan) -> bool:
    """Return whether an entry leaves others of its process their turns."""
    per_tick = plan.generator.observations_per_tick if isinstance(plan.generator, Histogram | Summary) else 0
    rate = _highest_rate(plan)
    return rate <= MOST_SHARED_EVENTS_PER_SEC and rate * per_tick <= MOST_SHARED_DRAWS_PER_SEC


def shares_worker(plan: EntryPlan, sharing: Sharing) -> bool:
    """Return whether an entry is to share a worker."""
    isolation = plan.isolation or sharing.isolation
    if isolation == "auto":
        return fits_in_shared(plan) and _highest_rate(plan) <= MOST_AUTO_EVENTS_PER_SEC
    return isolation == "shared" and fits_in_shared(plan)


def _highest_rate(plan: EntryPlan) -> float:
    return plan.own_rate * (1.0 if plan.bursts is None else max(plan.bursts.multiplier, 1.0))


def fullest_with_room(hosts: Iterable[S], per_worker: int) -> S | None:
    """Return the one with the most guests that has room for another, or None: fewer processes wake less often."""
    return max((host for host in hosts if len(host) < per_worker), key=len, default=None)


def hosts_missing(waiting: int, hosts: Iterable[Sized], per_worker: int) -> int:
    """Return how many further hosts so many guests need."""
    room = sum(max(per_worker - len(host), 0) for host in hosts)
    return max(-(-(waiting - room) // per_worker), 0)
