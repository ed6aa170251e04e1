"""Who waits for whom: `after` and local `while` references, their targets and their order.

Source: docs/scenarios.md, "After"; docs/states.md, "Gates".
"""

import math
from collections import deque
from typing import NamedTuple

from common.errors import CompileError
from common.specs import Constant, Sequence
from common.units import clip, number_text
from supervisor.compiler.faults import Faults, compile_fault
from supervisor.compiler.language.blocks import Entry
from supervisor.compiler.language.kinds import CsvReplay
from supervisor.reading.messages import did_you_mean

_LISTED_IDS = 50


class Edge(NamedTuple):
    """A reference by its keyword, `after` or `while`, to the entry with the index `target`."""

    keyword: str
    target: int


class References:
    """The references of a file's expanded entries.

    Args:
        entries: in file order.
        scenario_name: the file's own; a `while` that names another refers to another body and is left alone.
        faults: takes references without a target, to themselves or in a circle, and targets that cannot be watched.

    Attributes:
        order: indices of all entries, every one behind those it waits for.
    """

    def __init__(self, entries: tuple[Entry, ...], scenario_name: str | None, faults: Faults) -> None:
        self._entries = entries
        self._scenario_name = scenario_name
        self._index = {entry.id: index for index, entry in enumerate(entries) if entry.id is not None}
        self._faults = faults
        # An entry that was mended may lack the signals of its pack, which others refer to.
        self._is_whole = not faults
        self._edges = [self._edges_of(index, entry) for index, entry in enumerate(entries)]
        self.order: list[int] = []
        with faults.at():
            self.order = self._sorted()
        for index, (entry, edges) in enumerate(zip(entries, self._edges, strict=True)):
            for edge in edges:
                if edge.keyword == "while":
                    with faults.entry(index), faults.at("while", "ref"):
                        self._check_watched(entry, edge)

    def after(self, index: int) -> int | None:
        """Return the index of the entry that entry `index` starts after, or None."""
        return next((edge.target for edge in self._edges[index] if edge.keyword == "after"), None)

    def _edges_of(self, index: int, entry: Entry) -> list[Edge]:
        refs = []
        if entry.after is not None:
            refs.append(("after", entry.after.ref))
        if entry.while_ is not None and entry.while_.scenario_name in (None, self._scenario_name):
            refs.append(("while", entry.while_.ref))
        edges = []
        for keyword, ref in refs:
            if self._is_whole or ref in self._index or "." not in ref:
                with self._faults.entry(index), self._faults.at(keyword, "ref"):
                    edges.append(Edge(keyword, self._target(entry, keyword, ref)))
        return edges

    def _target(self, entry: Entry, keyword: str, ref: str) -> int:
        if ref not in self._index:
            signals = sorted(name for name in self._index if name.startswith(f"{ref}."))
            if len(signals) > 1:
                owner = ref.rpartition(".")[0] or ref
                raise _fault(
                    f"after.ref '{clip(ref)}' is ambiguous: it names {len(signals)} signals under pack entry "
                    f"'{clip(owner)}'. Use one of: [{_listed(signals)}]"
                )
            raise _fault(
                f"entry '{subject(entry)}': {keyword}.ref '{clip(ref)}' does not match any signal id in this file. "
                f"Available ids: [{_listed(sorted(self._index))}]",
                hint=did_you_mean(ref, self._index) or self._named(ref),
            )
        if ref == entry.id:
            raise _fault(f"entry '{subject(entry)}': {keyword}.ref references itself")
        return self._index[ref]

    def _named(self, ref: str) -> str | None:
        """Return a hint at an entry that has `ref` as its name."""
        named = next((entry for entry in self._entries if entry.name == ref and entry.id is None), None)
        return None if named is None else f"the entry named `{clip(ref)}` has no id: add `id: {clip(ref)}` to it"

    def _sorted(self) -> list[int]:
        """Return the entries without references in file order, then, again and again, those that waited for them."""
        waiting = [len(edges) for edges in self._edges]
        dependents: list[list[int]] = [[] for _ in self._edges]
        for index, edges in enumerate(self._edges):
            for edge in edges:
                dependents[edge.target].append(index)
        ready = deque(index for index, count in enumerate(waiting) if count == 0)
        order: list[int] = []
        while ready:
            index = ready.popleft()
            order.append(index)
            for dependent in dependents[index]:
                waiting[dependent] -= 1
                if waiting[dependent] == 0:
                    ready.append(dependent)
        if len(order) < len(waiting):
            raise _fault(f"circular dependency detected: {self._circle({*range(len(waiting))} - {*order})}")
        return order

    def _circle(self, remaining: set[int]) -> str:
        """Return the circle met when following references from the first of the entries that wait for ever."""
        index = min(remaining)
        walked: list[tuple[int, str]] = []
        while index not in (passed for passed, _ in walked):
            edge = next(edge for edge in self._edges[index] if edge.target in remaining)
            walked.append((index, edge.keyword))
            index = edge.target
        start = next(place for place, (passed, _) in enumerate(walked) if passed == index)
        circle = walked[start:]
        plain = all(keyword == "after" for _, keyword in circle)
        path = "".join(
            f"{subject(self._entries[passed])}{' -> ' if plain else f' --[{keyword}]--> '}"
            for passed, keyword in circle
        )
        return f"{path}{subject(self._entries[index])}"

    def _check_watched(self, entry: Entry, edge: Edge) -> None:
        target = self._entries[edge.target]
        said = f"entry '{subject(entry)}': "
        if target.signal_type != "metrics":
            raise _fault(
                f"{said}while.ref '{clip(str(target.id))}' resolves to a {target.signal_type} signal; only metrics "
                "signals can be `while` targets"
            )
        if isinstance(target.generator, CsvReplay):
            raise _fault(
                f"{said}`while:` cannot reference '{clip(str(target.id))}' — generator 'csv_replay' is data-dependent; "
                "only analytical generators are supported as `while:` upstreams"
            )
        place = _nan_place(target)
        if place is not None:
            raise _fault(
                f"{said}`while:` cannot reference '{clip(str(target.id))}' — it emits a literal NaN ({place}: "
                f"{number_text(math.nan)}); strict comparisons against NaN never hold and would leave the scenario "
                "permanently paused"
            )


def subject(entry: Entry) -> str:
    """Return how messages of this phase name an entry."""
    return clip(entry.id if entry.id is not None else f"<anonymous:{entry.name}>")


def _nan_place(target: Entry) -> str | None:
    match target.generator:
        case Constant(value=value) if math.isnan(value):
            return "constant.value"
        case Sequence(values=values):
            found = next((index for index, value in enumerate(values) if math.isnan(value)), None)
            return None if found is None else f"sequence.values[{found}]"
        case _:
            return None


def _listed(ids: list[str]) -> str:
    more = len(ids) - _LISTED_IDS
    listed = ", ".join(clip(name) for name in ids[:_LISTED_IDS])
    return f"{listed}, … and {more} more" if more > 0 else listed


def _fault(message: str, hint: str | None = None) -> CompileError:
    return compile_fault("compile_after", message, hint=hint)
