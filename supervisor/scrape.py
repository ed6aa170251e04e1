"""Recent samples to the text a scraper gets. Pure: labels follow from the plan, tick by tick.

Source: HTTP contract, section 13; encoder contract, section 6.
"""

import math

from common.board import Recent
from common.exposition import exposition, metadata_text, series_text
from common.labels import Labels, label_space
from common.plan import EntryPlan, LabelSpike, PlannedEntry, RotatingLabel
from common.specs import Step


def events(plan: EntryPlan, recent: Recent, limit: int) -> bytes | None:
    """Return one line a sample with its timestamp, oldest first, of the newest `limit` samples.

    Returns:
        None when there was no sample at all; empty when there were some and `limit` is 0.
    """
    total = len(recent.values)
    if not total:
        return None
    shown = recent.without_oldest(max(total - limit, 0))
    spelled: dict[Labels, str] = {}
    series = []
    for labels in _labels(plan, shown):
        text = spelled.get(labels)
        if text is None:
            text = spelled[labels] = series_text(plan.name, labels)
        series.append(text)
    return exposition(series, shown.values, shown.stamps_ns)


def snapshot(entry: PlannedEntry, newest: Recent) -> bytes:
    """Return the latest value of each series among the newest samples, sorted by labels, without timestamps.

    The board keeps `RECENT_SAMPLES` samples of a scenario, so a series whose last sample is older is not shown.

    Returns:
        Empty when nothing was emitted; otherwise `# HELP` (where the entry has a text) and `# TYPE` come first.
    """
    plan = entry.plan
    latest: dict[Labels, int] = {labels: place for place, labels in enumerate(_labels(plan, newest))}
    if not latest:
        return b""
    by_labels = sorted(latest.items())
    metric_type = entry.config.get("metric_type", "counter" if isinstance(plan.generator, Step) else "gauge")
    lines = exposition(
        [series_text(plan.name, labels) for labels, _ in by_labels],
        newest.values[[place for _, place in by_labels]],
    )
    return metadata_text(plan.name, metric_type, entry.config.get("help")) + lines


def _labels(plan: EntryPlan, recent: Recent) -> list[Labels]:
    """Return the labels of each sample; equal ones are computed once."""
    space = label_space(plan)
    rotating: tuple[RotatingLabel | LabelSpike, ...] = (*plan.dynamic_labels, *plan.cardinality_spikes)
    period = math.lcm(*(label.cardinality for label in rotating))
    known: dict[tuple[int, int], Labels] = {}
    found = []
    for tick, spike_mask in zip(recent.ticks.tolist(), (recent.series >> 32).tolist(), strict=True):
        key = (tick % period, spike_mask)
        labels = known.get(key)
        if labels is None:
            labels = known[key] = space.at(tick, spike_mask)
        found.append(labels)
    return found
