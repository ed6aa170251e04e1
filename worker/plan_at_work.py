"""What an entry makes as long as its plan stays the same; a change while it runs puts another plan to work.

::

    plan ── tick k-1 ┐   ┌ tick k ── changed plan ──►      the same position, the values of `ValueOrigin`
                     └───┘

Source: docs/values.md, "Changes".
"""

from collections.abc import Callable, Iterable

import msgspec

import worker.encoders
import worker.generators
from common.counters import Counters
from common.messages import Held, Retune, Start
from common.plan import EntryPlan
from common.tuning import Tuning
from worker.digest import Digest
from worker.encoders import Encoder
from worker.generators import OBSERVERS, Generator, Observer, most_ticks, origin_at
from worker.long_work import never
from worker.ticks.batch import Batch
from worker.ticks.production import Production
from worker.ticks.schedule import NEVER_NS, Schedule


def beginning(plan: EntryPlan, start: Start) -> tuple[int, int]:
    """Return when the history of an entry begins, or else the entry: on the monotonic clock, and in stamps."""
    after_ns = plan.phase_offset_ns - plan.backfill_ns
    wall_ns = start.wall_ns + after_ns if plan.anchor_ns is None else plan.anchor_ns
    return start.start_ns + after_ns, wall_ns + plan.shift_ns


class PlanAtWork:
    """The schedule, the generator and the encoder of one plan, at work.

    Args:
        plan: the entry.
        generator: its values.
        encoder: its wire format.
        anchor_ns: what scenario clock 0 is in stamps, ns since the epoch.
        interrupted: as of `Schedule`.

    Attributes:
        plan, generator, encoder: see above.
        schedule: which ticks are due.
        production: makes the events, from the run's first tick on.
        observer: the generator, if it counts over the whole run.
        digest: sums up the events, if that is asked for.
    """

    def __init__(
        self,
        plan: EntryPlan,
        generator: Generator,
        encoder: Encoder,
        anchor_ns: int,
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self.plan = plan
        self.generator = generator
        self.encoder = encoder
        self.schedule = Schedule(plan, anchor_ns, interrupted)
        self.observer = generator if isinstance(generator, Observer) else None
        self.digest = Digest(plan) if plan.digest else None
        observes = type(plan.generator) in OBSERVERS
        self.production = Production(
            self.schedule,
            generator,
            encoder,
            most_ticks(plan),
            looks_ahead=plan.gate is None and not observes,
            looks_back=plan.encoder.looks_back,
            ticks_per_request=1 if observes else plan.sink.request_records,
        )

    @property
    def end_ns(self) -> int:
        """The scenario-clock instant at which the run is over."""
        return NEVER_NS if self.schedule.end_ns is None else self.schedule.end_ns

    def begin(self, batch: Batch) -> None:
        """Sum up this batch from now on."""
        if self.digest is not None:
            self.digest.begin(batch)

    def sum_up(self, counters: Counters, counted: Iterable[tuple[int, int]]) -> None:
        """Add what counts of the newest batch so far, as ranges [start, stop), to the digest, if there is one."""
        if self.digest is not None:
            self.digest.add(counters, counted)

    def held(self, asked: Retune, *, is_due: bool) -> Held:
        """Return what is to be told of this plan, which would begin now; a gate may hold its first tick back."""
        cursor = self.production.cursor
        return Held(
            scenario_id=asked.scenario_id,
            number=asked.number,
            tick=cursor.tick,
            stamp_ns=self.schedule.anchor_ns + cursor.segment_ns + cursor.offset_ns if is_due else None,
            origin=self.plan.origin,
            segment_ns=cursor.segment_ns,
            segment_tick=cursor.segment_tick,
            cycle_shift_ns=cursor.cycle_shift_ns,
        )

    def changed(self, tuning: Tuning, interrupted: Callable[[], bool]) -> "PlanAtWork":
        """Return the plan that goes on from here, at work; this one is left as it is.

        Args:
            tuning: what changes.
            interrupted: as of `worker.generators.build`, and of `Schedule`.

        Raises:
            Interrupted: it became true.
        """
        cursor = self.production.cursor
        plan = tuning.of(self.plan)
        plan = msgspec.structs.replace(plan, origin=origin_at(self.plan, plan, cursor.tick))
        generator, encoder = worker.generators.build(plan, interrupted), worker.encoders.build(plan)
        changed = PlanAtWork(plan, generator, encoder, self.schedule.anchor_ns, interrupted)
        if self.observer is not None and changed.observer is not None:
            changed.observer.totals = list(self.observer.totals)
        changed.production.move_to(changed.schedule.take_over(self.schedule, cursor))
        changed.production.follow(self.production)
        return changed
