"""The index of entries that wait for the upstream: order, bounds, and what is dropped at them. Pure.

The payloads are on disk only.

Changes are made inside a group commit: `mark()` before, then `keep()` when it is durable or `undo()` when it is not.

::

    key A   e3 ── e7 ── e9          per key a linked list, oldest first
    key B      e5 ── e8             `order`: all entries by sequence number
                                    `superseded`: entries whose two neighbours have their own status

Source: docs/relay.md, "Forwarding".
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Protocol

from supervisor.relay.checks.state import Key
from supervisor.relay.config.records import SpoolLimits

_HEAP_SLACK: Final = 64


class SpoolEntry:
    """A spooled update. `at_ms` is the acceptance time; `busy` while a request is in flight or its result unsaved."""

    __slots__ = ("after", "at_ms", "before", "busy", "durable", "key", "seq", "size_bytes", "status")

    def __init__(self, seq: int, key: Key, status: str, size_bytes: int, at_ms: int, *, durable: bool) -> None:
        self.seq = seq
        self.key = key
        self.status = status
        self.size_bytes = size_bytes
        self.at_ms = at_ms
        self.busy = False
        self.durable = durable
        self.before: SpoolEntry | None = None
        self.after: SpoolEntry | None = None

    def is_superseded(self) -> bool:
        """Return whether nothing is lost for transitions when this entry goes."""
        before, after = self.before, self.after
        return before is not None and after is not None and before.status == self.status == after.status


class WaitingEntries(Protocol):
    """The spool for those who only read it."""

    @property
    def size_bytes(self) -> int:
        """What all entries have in the store."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SpoolEntry]: ...

    def keys(self) -> list[Key]:
        """Return the keys that have entries."""
        ...

    def counts(self) -> dict[Key, int]:
        """Return a copy of the number of entries by key."""
        ...

    def oldest(self, key: Key) -> SpoolEntry | None:
        """Return the entry of `key` to forward next."""
        ...

    def oldest_of_all(self) -> SpoolEntry | None:
        """Return the entry with the lowest number."""
        ...


class Spool:
    """All entries of all keys."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._last_seq = 0
        self._order: OrderedDict[int, SpoolEntry] = OrderedDict()
        self._ends: dict[Key, tuple[SpoolEntry, SpoolEntry]] = {}
        self._counts: dict[Key, int] = {}
        self._superseded: set[int] = set()
        self._heap: list[int] = []
        self._journal: list[tuple[bool, SpoolEntry]] = []

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[SpoolEntry]:
        return iter(self._order.values())

    def keys(self) -> list[Key]:
        """Return the keys that have entries."""
        return list(self._ends)

    def get(self, seq: int) -> SpoolEntry | None:
        """Return the entry numbered `seq`, if it is still there."""
        return self._order.get(seq)

    def pending(self, key: Key) -> int:
        """Return how many entries `key` has."""
        return self._counts.get(key, 0)

    def counts(self) -> dict[Key, int]:
        """Return a copy of the number of entries by key."""
        return dict(self._counts)

    def oldest(self, key: Key) -> SpoolEntry | None:
        """Return the entry of `key` to forward next."""
        ends = self._ends.get(key)
        return ends[0] if ends else None

    def oldest_of_all(self) -> SpoolEntry | None:
        """Return the entry with the lowest number."""
        return next(iter(self), None)

    def newest(self, key: Key) -> SpoolEntry | None:
        """Return the entry of `key` spooled last."""
        ends = self._ends.get(key)
        return ends[1] if ends else None

    def next_seq(self) -> int:
        """Return a number above all that were ever used here."""
        return self._last_seq + 1

    def mark(self) -> None:
        """Start a group of changes."""
        self._journal.clear()

    def keep(self) -> None:
        """The changes since `mark` are durable."""
        for added, entry in self._journal:
            if added:
                entry.durable = True
        self._journal.clear()

    def undo(self) -> None:
        """Take back the changes since `mark`."""
        journal, self._journal = self._journal, []
        for added, entry in reversed(journal):
            if added:
                self._unlink(entry)
            else:
                self._relink(entry)
        if any(not added for added, _ in journal):
            self._order = OrderedDict(sorted(self._order.items()))

    def append(self, entry: SpoolEntry) -> None:
        """Add the newest entry of its key; its number is above all present ones."""
        ends = self._ends.get(entry.key)
        entry.before = ends[1] if ends else None
        if ends:
            ends[1].after = entry
        self._ends[entry.key] = (ends[0] if ends else entry, entry)
        self._enter(entry)
        self._reconsider(entry.before)
        self._journal.append((True, entry))

    def drop(self, entry: SpoolEntry) -> None:
        """Remove an entry from wherever it stands in its key."""
        self._unlink(entry)
        self._journal.append((False, entry))

    def make_room(
        self, limits: SpoolLimits, key: Key, status: str, size_bytes: int
    ) -> list[tuple[SpoolEntry, str]] | None:
        """Drop what must go before an entry of `key` is appended; None (nothing changed) when it does not fit.

        Returns:
            The dropped entries with the reason, `coalesced` or `overflow`.
        """
        if self._fits(limits, size_bytes):
            return []
        dropped: list[tuple[SpoolEntry, str]] = []
        while not self._fits(limits, size_bytes) and (entry := self._oldest_superseded(key, status)):
            self.drop(entry)
            dropped.append((entry, "coalesced"))
        if limits.on_full == "drop_oldest" and size_bytes <= limits.max_bytes:
            while not self._fits(limits, size_bytes):
                oldest = next((entry for entry in self if not entry.busy), None)
                if oldest is None:
                    break
                self.drop(oldest)
                dropped.append((oldest, "overflow"))
        if self._fits(limits, size_bytes):
            return dropped
        for entry, _ in reversed(dropped):
            self._journal.pop()
            self._relink(entry)
        if dropped:
            self._order = OrderedDict(sorted(self._order.items()))
        return None

    def _fits(self, limits: SpoolLimits, size_bytes: int) -> bool:
        return len(self) < limits.max_entries and self.size_bytes + size_bytes <= limits.max_bytes

    def _oldest_superseded(self, key: Key, status: str) -> SpoolEntry | None:
        """Return the oldest entry that may be coalesced when an entry of `key` with `status` is about to come."""
        newest = self.newest(key)
        before = newest.before if newest is not None else None
        followed = newest if before is not None and newest and before.status == newest.status == status else None
        if followed is not None:
            self._consider(followed.seq)
        busy = []
        found = None
        while self._heap and found is None:
            seq = heapq.heappop(self._heap)
            entry = self._order.get(seq)
            if entry is None or seq not in self._superseded:
                continue
            if not (entry.is_superseded() or entry is followed):
                self._superseded.discard(seq)
            elif entry.busy:
                busy.append(seq)
            else:
                found = entry
        for seq in busy:
            heapq.heappush(self._heap, seq)
        return found

    def _consider(self, seq: int) -> None:
        if seq not in self._superseded:
            self._superseded.add(seq)
            heapq.heappush(self._heap, seq)
            if len(self._heap) > 2 * len(self._superseded) + _HEAP_SLACK:
                self._heap = sorted(self._superseded)

    def _reconsider(self, entry: SpoolEntry | None) -> None:
        if entry is None:
            return
        if entry.is_superseded():
            self._consider(entry.seq)
        else:
            self._superseded.discard(entry.seq)

    def _enter(self, entry: SpoolEntry) -> None:
        self._order[entry.seq] = entry
        self._last_seq = max(self._last_seq, entry.seq)
        self.size_bytes += entry.size_bytes
        self._counts[entry.key] = self._counts.get(entry.key, 0) + 1

    def _unlink(self, entry: SpoolEntry) -> None:
        before, after = entry.before, entry.after
        first, last = self._ends[entry.key]
        if before is not None:
            before.after = after
        if after is not None:
            after.before = before
        if before is None and after is None:
            del self._ends[entry.key]
            del self._counts[entry.key]
        else:
            self._ends[entry.key] = (
                after or first if before is None else first,
                before or last if after is None else last,
            )
            self._counts[entry.key] -= 1
        del self._order[entry.seq]
        self.size_bytes -= entry.size_bytes
        self._superseded.discard(entry.seq)
        self._reconsider(before)
        self._reconsider(after)

    def _relink(self, entry: SpoolEntry) -> None:
        """Put an entry back between the neighbours it had: the reverse of `_unlink`, in reverse order."""
        before, after = entry.before, entry.after
        if before is not None:
            before.after = entry
        if after is not None:
            after.before = entry
        first, last = self._ends.get(entry.key, (entry, entry))
        self._ends[entry.key] = (entry if before is None else first, entry if after is None else last)
        self._enter(entry)
        for moved in (before, entry, after):
            self._reconsider(moved)
