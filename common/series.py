"""The series of an entry: one for metrics, several for each tick of a histogram or a summary, none for logs.

Source: docs/scenarios.md, "Entry" and "Histograms and summaries".
"""

from dataclasses import dataclass

from common.labels import LabelSpace
from common.own_ticks import own_ticks
from common.plan import EntryPlan, Histogram, Summary
from common.specs import MetricType, Step
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


def metric_type_of(plan: EntryPlan) -> MetricType:
    """Return the type of the metric of `plan`, which has one: as written, or what its values are."""
    if plan.metric_type is not None:
        return plan.metric_type
    match plan.generator:
        case Histogram():
            return "histogram"
        case Summary():
            return "summary"
        case Step():
            return "counter"
        case _:
            return "gauge"


def counts_up(plan: EntryPlan) -> tuple[bool, ...]:
    """Return which series of `plan` count up from its start, in the order of `series_of`."""
    match plan.generator:
        case Histogram(buckets=buckets):
            return (True,) * (len(buckets) + 3)
        case Summary(quantiles=quantiles):
            return (*(False,) * len(quantiles), True, True)
        case _:
            return (metric_type_of(plan) == "counter",)


def _series(plan: EntryPlan, name: str, **own_label: str) -> Series:
    # The label that tells the series apart belongs to the static ones, so a rotating label of its key would win.
    space = LabelSpace(plan.labels | own_label, plan.dynamic_labels, plan.cardinality_spikes, own_ticks(plan))
    return Series(name, space)
