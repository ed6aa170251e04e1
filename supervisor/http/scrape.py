"""Samples to the text a scraper gets: the recent ones, or the newest of each series. Pure.

Source: docs/http.md, "Scrape one" and "Scrape all"; docs/formats.md, "Prometheus text".
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from common.board import Recent
from common.current import SeriesKey, SeriesValue
from common.exposition import exposition
from common.families import metadata_text, series_text
from common.plan import EntryPlan, LabelSpike, PlannedEntry, RotatingLabel
from common.series import series_of
from common.specs import Step

_HELP: Final = "Emitted by sondad."
"""What stands for a help text that nobody wrote: linters want one."""

_BOUNDS: Final = ("le", "quantile")
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


@dataclass(slots=True)
class _Family:
    """The entries of one name: what they say about it, and their series, entry by entry."""

    name: str
    help_text: str | None = None
    types: set[str] = field(default_factory=set)
    series: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, entry: PlannedEntry, newest: list[SeriesValue]) -> None:
        self.types.add(entry.config.get("metric_type", _default_type(entry.plan)))
        if self.help_text is None:
            self.help_text = entry.config.get("help")
        for key, value in sorted(newest, key=_place):
            self.series.append(series_text(*key))
            self.values.append(value)

    def text(self) -> bytes:
        metric_type = "untyped" if len(self.types) > 1 else min(self.types)
        return metadata_text(self.name, metric_type, self.help_text or _HELP) + exposition(
            self.series, np.array(self.values)
        )


def snapshot(entry: PlannedEntry, newest: list[SeriesValue]) -> bytes:
    """Return the newest value of each series, without timestamps.

    Returns:
        Empty when nothing was emitted; otherwise `# HELP` (where the entry has a text) and `# TYPE` come first.
    """
    if not newest:
        return b""
    family = _Family(entry.plan.name)
    family.add(entry, newest)
    return family.text()


def aggregate(entries: Iterable[tuple[PlannedEntry, list[SeriesValue]]]) -> tuple[bytes, frozenset[str]]:
    """Return the newest values of many entries, those of one name together, and the names of two types.

    An entry of logs adds nothing; any other adds its type even before its first value.
    """
    families: dict[str, _Family] = {}
    for entry, newest in entries:
        name = entry.plan.name
        if entry.plan.signal_type != "logs":
            families.setdefault(name, _Family(name)).add(entry, newest)
    contradictory = frozenset(family.name for family in families.values() if len(family.types) > 1)
    return b"".join(family.text() for family in families.values()), contradictory


def _place(one: SeriesValue) -> tuple[str, list[tuple[str, str]], float]:
    """Return where a series stands in its family: bounds of one label set in increasing order, as readers want them."""
    (name, labels), _ = one
    bounds = [_number(value) for key, value in labels if key in _BOUNDS]
    return name, [pair for pair in labels if pair[0] not in _BOUNDS], bounds[0] if bounds else 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        # A gauge may call any label so.
        return 0.0


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
