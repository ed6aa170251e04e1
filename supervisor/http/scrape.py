"""Samples to the text a scraper gets: the recent ones, or the newest of each series. Pure.

Source: docs/http.md, "Scrape one" and "Scrape all"; docs/formats.md, "Prometheus text".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from common.board import Recent
from common.current import SeriesKey, SeriesValue
from common.exposition import exposition
from common.families import metadata_text, series_text
from common.plan import EntryPlan, PlannedEntry
from common.series import metric_type_of, series_of
from supervisor.http.errors import BadQuery

_HELP: Final = "Emitted by sondad."
"""What stands for a help text that nobody wrote: linters want one."""

_MOST_BYTES: Final = 128 * 1024 * 1024

_BOUNDS: Final = ("le", "quantile")
_BOUNDED: Final = ("histogram", "summary")
_SERIES_MASK: Final = 2**32 - 1


def events(plan: EntryPlan, recent: Recent, limit: int, earlier: Sequence[tuple[int, EntryPlan]] = ()) -> bytes | None:
    """Return one line a sample with its timestamp, oldest first, of the newest `limit` samples.

    Args:
        plan: the entry.
        recent: its samples.
        limit: how many are wanted.
        earlier: plans of before, each with the tick at which its labels ended, oldest first.

    Returns:
        None when there was no sample at all; empty when there were some and `limit` is 0.
    """
    total = len(recent.values)
    if not total:
        return None
    shown = recent.without_oldest(max(total - limit, 0))
    spelled: dict[SeriesKey, str] = {}
    series = []
    for key in _series([*earlier, (None, plan)], shown):
        text = spelled.get(key)
        if text is None:
            text = spelled[key] = series_text(*key)
        series.append(text)
    return exposition(series, shown.values, shown.stamps_ns)


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """An entry, and what a scrape shows of it.

    Attributes:
        entry: whose series they are.
        newest: the newest value of each.
        rank: of two entries with one label set, that of the higher rank is shown.
    """

    entry: PlannedEntry
    newest: list[SeriesValue]
    rank: tuple[bool, int] = (True, 0)

    def label_set(self, key: SeriesKey) -> SeriesKey:
        """Return what the lines of one histogram or summary have in common, or the only line of another series."""
        if metric_type_of(self.entry.plan) not in _BOUNDED:
            return key
        return self.entry.plan.name, tuple(pair for pair in key[1] if pair[0] not in _BOUNDS)


@dataclass(slots=True)
class _Family:
    """The entries of one name: what they say about it, and their series, entry by entry."""

    name: str
    entries: list[ShownEntry] = field(default_factory=list)

    @property
    def types(self) -> set[str]:
        return {metric_type_of(one.entry.plan) for one in self.entries}

    def text(self) -> bytes:
        types = self.types
        metric_type = "untyped" if len(types) > 1 else min(types)
        help_text = next((one.entry.plan.help for one in self.entries if one.entry.plan.help), _HELP)
        series, values = [], []
        owners = self._owners()
        for one in self.entries:
            for key, value in sorted(one.newest, key=_place):
                if owners.get(one.label_set(key), one) is one:
                    series.append(series_text(*key))
                    values.append(value)
        return metadata_text(self.name, metric_type, help_text) + exposition(series, np.array(values))

    def _owners(self) -> dict[SeriesKey, ShownEntry]:
        """Return whose label sets are shown, where there is a choice: a reader takes each series only once."""
        if len(self.entries) == 1:
            return {}
        ranked = sorted(self.entries, key=lambda one: one.rank)
        return {one.label_set(key): one for one in ranked for key, _ in one.newest}


def check_bytes(count: int, instead: str) -> None:
    """Refuse a scrape before it is made that would take the memory that everything else needs.

    Args:
        count: how many bytes it would have.
        instead: what can be asked for.

    Raises:
        BadQuery: that is too much.
    """
    if count > _MOST_BYTES:
        raise BadQuery(
            f"the newest values of all series would take up to {count >> 20} MiB, and an answer has at most "
            f"{_MOST_BYTES >> 20} MiB: {instead}"
        )


def snapshot(entry: PlannedEntry, newest: list[SeriesValue]) -> bytes:
    """Return the newest value of each series, without timestamps.

    Returns:
        Empty when nothing was emitted; otherwise `# HELP` (where the entry has a text) and `# TYPE` come first.
    """
    if not newest:
        return b""
    return _Family(entry.plan.name, [ShownEntry(entry, newest)]).text()


def aggregate(entries: Iterable[ShownEntry]) -> tuple[bytes, frozenset[str]]:
    """Return the newest values of many entries, those of one name together, and the names of two types.

    An entry of logs adds nothing; any other adds its type even before its first value.
    """
    families: dict[str, _Family] = {}
    for one in entries:
        plan = one.entry.plan
        if plan.signal_type != "logs":
            families.setdefault(plan.name, _Family(plan.name)).entries.append(one)
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


def _series(plans: Sequence[tuple[int | None, EntryPlan]], recent: Recent) -> list[SeriesKey]:
    """Return the series of each sample by the plan of its time."""
    found: list[SeriesKey] = []
    ticks, place = recent.ticks, 0
    for until, plan in plans:
        stop = len(ticks) if until is None else int(np.searchsorted(ticks, np.uint64(until)))
        if stop > place:
            found += _series_of(plan, ticks[place:stop].tolist(), recent.series[place:stop].tolist())
            place = stop
    return found


def _series_of(plan: EntryPlan, ticks: Iterable[int], series_marks: Iterable[int]) -> list[SeriesKey]:
    """Return the series of each sample of one plan; equal ones are computed once."""
    series = series_of(plan)
    period = series[0].labels.recurs_after
    known: dict[tuple[int, int], SeriesKey] = {}
    found = []
    for tick, marks in zip(ticks, series_marks, strict=True):
        place = (tick % period, marks)
        key = known.get(place)
        if key is None:
            one = series[marks & _SERIES_MASK]
            key = known[place] = (one.name, one.labels.at(tick, marks >> 32))
        found.append(key)
    return found
