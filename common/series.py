"""The series of an entry: one for metrics, several for each tick of a histogram or a summary, none for logs.

Source: docs/scenarios.md, "Histograms and summaries".
"""

from dataclasses import dataclass

from common.labels import LabelSpace
from common.plan import EntryPlan, Histogram, Summary
from common.units import number_text


@dataclass(frozen=True, slots=True)
class Series:
    """One series, or one family of them where labels rotate.

    Attributes:
        name: metric name.
        labels: every label set it can have.
    """

    name: str
    labels: LabelSpace


def series_of(plan: EntryPlan) -> tuple[Series, ...]:
    """Return the series of `plan` in the order in which a tick gives their values."""
    match plan.generator:
        case Histogram(buckets=buckets):
            bounds = [*map(number_text, buckets), "+Inf"]
            values = [_series(plan, f"{plan.name}_bucket", le=bound) for bound in bounds]
        case Summary(quantiles=quantiles):
            values = [_series(plan, plan.name, quantile=number_text(quantile)) for quantile in quantiles]
        case _:
            return (_series(plan, plan.name),)
    return (*values, _series(plan, f"{plan.name}_sum"), _series(plan, f"{plan.name}_count"))


def _series(plan: EntryPlan, name: str, **own_label: str) -> Series:
    # The label that tells the series apart belongs to the static ones, so a rotating label of its key would win.
    return Series(name, LabelSpace(plan.labels | own_label, plan.dynamic_labels, plan.cardinality_spikes))
