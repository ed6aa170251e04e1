"""What of an entry can be changed while it runs. Source: docs/http.md, "Change"."""

from typing import Any

import msgspec

from common.plan import EntryPlan, GeneratorPlan, PlanRecord, ValueOrigin, gathering_ns


class Tuning(PlanRecord, frozen=True, kw_only=True):
    """The fields of a plan that can be changed while it runs, each as it is to be from then on.

    Attributes:
        generator: None leaves it as it is; a recording is never sent again.
    """

    rate: float
    duration_ns: int | None
    labels: dict[str, str]
    generator: GeneratorPlan | None
    jitter: float
    jitter_seed: int

    def of(self, plan: EntryPlan, origin: ValueOrigin | None = None) -> EntryPlan:
        """Return `plan` with these fields, and with `origin` if it is known."""
        changed = msgspec.structs.replace(
            plan,
            rate=self.rate,
            duration_ns=self.duration_ns,
            labels=self.labels,
            generator=plan.generator if self.generator is None else self.generator,
            jitter=self.jitter,
            jitter_seed=self.jitter_seed,
            origin=plan.origin if origin is None else origin,
            first_rate=plan.first_rate if self.rate == plan.rate else plan.launch_rate,
        )
        return msgspec.structs.replace(changed, gathering_ns=gathering_ns(changed.own_rate))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it was asked for.

    Attributes:
        tuning: what the worker is to know.
        config: the entry as clients see it from then on.
        changes: what of that is new; None for what is no longer there. Empty when nothing changes.
    """

    tuning: Tuning
    config: dict[str, Any]
    changes: dict[str, Any]
