"""Recent samples to the text a scraper gets. Pure: labels follow from the plan, tick by tick.

Source: HTTP contract, section 13; encoder contract, section 6.
"""

import math
from typing import Final

from common.board import Recent
from common.exposition import exposition, metadata_text, series_text
from common.labels import Labels
from common.plan import EntryPlan, LabelSpike, PlannedEntry, RotatingLabel
from common.series import series_of
from common.specs import Step

SeriesKey = tuple[str, Labels]
"""Name and labels of a series."""

_SERIES_MASK: Final = 2**32 - 1


def events(plan: EntryPlan, recent: Recent, limit: int) -> bytes | None:
    """Return one line a sample with its timestamp, oldest first, of the newest `limit` samples.

    Returns:
        None when there was no sample at all; empty when there were some and `limit` is 0.
    """
    total = len(recent.values)
    if not total:
        return None
    shown = recent.without_oldest(max(total - limit, 0))
    spelled: dict[SeriesKey, str] = {}
    series = []
    for key in _series(plan, shown):
        text = spelled.get(key)
        if text is None:
            text = spelled[key] = series_text(*key)
        series.append(text)
    return exposition(series, shown.values, shown.stamps_ns)


def snapshot(entry: PlannedEntry, newest: Recent) -> bytes:
    """Return the latest value of each series among the newest samples, sorted by labels, without timestamps.

    The board keeps `RECENT_SAMPLES` samples of a scenario, so a series whose last sample is older is not shown.

    Returns:
        Empty when nothing was emitted; otherwise `# HELP` (where the entry has a text) and `# TYPE` come first.
    """
    plan = entry.plan
    latest: dict[SeriesKey, int] = {key: place for place, key in enumerate(_series(plan, newest))}
    if not latest:
        return b""
    by_series = sorted(latest.items())
    metric_type = entry.config.get("metric_type", _default_type(plan))
    lines = exposition(
        [series_text(*key) for key, _ in by_series],
        newest.values[[place for _, place in by_series]],
    )
    return metadata_text(plan.name, metric_type, entry.config.get("help")) + lines


def _default_type(plan: EntryPlan) -> str:
    if plan.signal_type != "metrics":
        return plan.signal_type
    return "counter" if isinstance(plan.generator, Step) else "gauge"


def _series(plan: EntryPlan, recent: Recent) -> list[SeriesKey]:
    """Return the series of each sample; equal ones are computed once."""
    series = series_of(plan)
    rotating: tuple[RotatingLabel | LabelSpike, ...] = (*plan.dynamic_labels, *plan.cardinality_spikes)
    period = math.lcm(*(label.cardinality for label in rotating))
    known: dict[tuple[int, int], SeriesKey] = {}
    found = []
    for tick, marks in zip(recent.ticks.tolist(), recent.series.tolist(), strict=True):
        place = (tick % period, marks)
        key = known.get(place)
        if key is None:
            one = series[marks & _SERIES_MASK]
            key = known[place] = (one.name, one.labels.at(tick, marks >> 32))
        found.append(key)
    return found
