"""Group commit: everything that must be durable goes through here, in the order it came.

One group is planned against the committed state, written, and only then applied and answered::

    submit ──► waiting ──plan──► changes ══ write ══► apply ──► answers
                  ▲                           │
                  │                           └ failed: 503, nothing has changed
                  └── what comes meanwhile waits for the next group

While the disk is quick the loop writes by itself: to hand over to the committer thread and back takes as long as the
commit. After a slow commit the committer writes, until one is quick again; checkpoints are always its job. So a disk
that stalls holds up the loop once, not for good.

What cannot be refused, the ends of entries above all, takes effect although it cannot be written, and is *owed* to the
store until it can: so the spool drains while the disk is full. A full disk takes no new update until its reserve is
back, or they would eat up the room that the ends need.

Source: docs/relay.md, "Reports", "Forwarding" and "As a service".
"""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from supervisor.host.loop import Loop
from supervisor.relay.checks.state import CheckState, Key
from supervisor.relay.config.records import Config
from supervisor.relay.ledger.changes import MAX_DEAD_LETTERS, DeadLetter, Payload
from supervisor.relay.ledger.files import StoreError
from supervisor.relay.ledger.group import Group
from supervisor.relay.ledger.jobs import Done, Job, Marked, Outcome, Settled, Update
from supervisor.relay.ledger.store import Store
from supervisor.relay.threads import Threads
from supervisor.relay.upstream.spool import Spool, SpoolEntry, WaitingEntries

logger = logging.getLogger(__name__)

_RETRY_SECS: Final = 1.0
_MAX_GROUP: Final = 1000
_QUICK_COMMIT_SECS: Final = 0.002


class Ledger:
    """The committed state and the one way to change it; main thread only.

    Attributes:
        states: the latest state of every check; changed by jobs alone.
        acked: when the upstream last took an update of a check, ms since the epoch; changed by jobs alone.
        spool: the index of what waits for the upstream; changed by jobs alone.
        dropped: how many entries were given up, by reason.
        dead_count: how many dead letters are kept.
        unread_dead: how many of them nobody has acknowledged.
        fault: why the store cannot be written; None while it can.
        on_committed: called with the entries that were spooled and the checks that were updated.
    """

    def __init__(self, store: Store, loop: Loop, config: Config) -> None:
        self.config = config
        self.states: Mapping[Key, CheckState] = MappingProxyType(store.states)
        self.acked: Mapping[Key, int] = MappingProxyType(store.acked)
        self._spool = Spool()
        self.spool: WaitingEntries = self._spool
        self._dropped: Counter[str] = Counter()
        self.dropped: Mapping[str, int] = MappingProxyType(self._dropped)
        self.dead_count = store.dead_count
        self.unread_dead = store.unread_dead
        self.fault: str | None = None
        self.on_committed: Callable[[list[SpoolEntry], list[Key]], None] = lambda _spooled, _updated: None
        self._states = store.states
        self._acked = store.acked
        self._store = store
        self._loop = loop
        self._committer = Threads(loop, "committer", 1)
        self._waiting: list[tuple[Job, Done]] = []
        self._owed: dict[int, Settled] = {}
        self._owed_at_once = _MAX_GROUP
        self._is_full = False
        self._is_changed = False
        self._busy = False
        self._scheduled = False
        self._commit_secs = 0.0
        for seq, key, status, size_bytes, at_ms in store.spooled():
            self._spool.append(SpoolEntry(seq, key, status, size_bytes, at_ms, durable=True))
        self._spool.keep()
        if store.descriptor is not None:
            loop.watch(store.descriptor, self._heard)

    @property
    def doubt(self) -> str | None:
        """Why updates that were accepted may be missing; None when there is no doubt."""
        return self._store.doubt

    def submit(self, job: Job, done: Done) -> None:
        """Queue `job`; `done` is called on the main thread when its fate is durable."""
        if self._is_full and isinstance(job, Update):
            self._loop.soon(lambda: done(Outcome.FAILED))
            return
        self._waiting.append((job, done))
        self._schedule()

    def is_idle(self) -> bool:
        """Return whether nothing waits to become durable."""
        return not (self._busy or self._waiting)

    def payload(self, entry: SpoolEntry) -> Payload | None:
        """Return what is to be sent for `entry`; None when that is missing or damaged in the store.

        Raises:
            StoreError: it cannot be read.
        """
        return self._store.payload(entry.seq)

    def history(self, key: Key) -> list[dict[str, Any]]:
        """Return the transitions of a check, oldest first.

        Raises:
            StoreError: they cannot be read.
        """
        return [transition.as_json() for transition in self._store.history(key)]

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first.

        Raises:
            StoreError: they cannot be read.
        """
        return self._store.dead_letters()

    def forget_doubt(self) -> None:
        """Take note that somebody knows of `doubt`."""
        self._store.acknowledge()

    def probe(self) -> None:
        """Find out whether the store can be written, again or still, and make up for what it is owed."""
        if not self.is_idle():
            return
        if self._is_changed:
            self._hand_over(self._store.heal, self._healed)
        elif self._is_full:
            hold = not self._owed
            self._hand_over(lambda: self._store.make_room(hold=hold), self._room_made)
        elif self.fault is not None or self._owed:
            self._write_probe()
        else:
            self._look()

    def close(self) -> None:
        """Close the store; nothing may be submitted any more."""
        self._store.close()

    def reconfigure(self, config: Config) -> None:
        """Use new limits from the next group on."""
        self.config = config

    def _hand_over(self, call: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._busy = True
        self._committer.submit(call, done)

    def _heard(self) -> None:
        self._store.hear()
        if not self._busy:
            self._look()

    def _look(self) -> None:
        """Look at the files of the store, not only at the next commit."""
        try:
            self._store.check()
        except StoreError as exc:
            self._note(exc)

    def _healed(self, error: BaseException | None) -> None:
        self._busy = False
        if error is None:
            self._is_changed = False
            self._write_probe()
        else:
            self._note(error)
            self._schedule()

    def _room_made(self, result: bool | BaseException | None) -> None:
        self._busy = False
        if isinstance(result, BaseException):
            self._note(result)
            return
        if result:
            self._is_full = False
        self._write_probe()

    def _write_probe(self) -> None:
        group = self._group([])
        group.changes.probe_ms = time.time_ns() // 1_000_000
        self._plan_and_write(group)

    def _schedule(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            # Not at once: every request that is ready in this turn of the loop shares the commit.
            self._loop.soon(self._start_group)

    def _start_group(self) -> None:
        self._scheduled = False
        if self._busy or not (self._waiting or self._owed):
            return
        jobs, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
        self._plan_and_write(self._group(jobs))

    def _group(self, jobs: list[tuple[Job, Done]]) -> Group:
        self._spool.mark()
        owed = list(itertools.islice(self._owed.values(), self._owed_at_once)) if self._owed else []
        return Group(jobs, owed, self.config, self._states, self._spool, self._store)

    def _plan_and_write(self, group: Group) -> None:
        try:
            group.plan()
        except StoreError as exc:
            self._finish(group, exc)
            return
        if group.changes.is_empty():
            self._finish(group, None)
        else:
            self._write(group)

    def _write(self, group: Group) -> None:
        self._busy = True
        sync = self.config.spool.sync == "commit"
        if self._commit_secs < _QUICK_COMMIT_SECS:
            self._finish(group, self._commit(group, sync=sync))
        else:
            self._committer.submit(lambda: self._commit(group, sync=sync), lambda error: self._finish(group, error))

    def _commit(self, group: Group, *, sync: bool) -> StoreError | None:
        """Write the changes of `group` and time it; on whichever thread, never on two at once."""
        began = time.monotonic()
        try:
            self._store.write(group.changes, sync=sync)
        except StoreError as exc:
            return exc
        finally:
            self._commit_secs = time.monotonic() - began
        return None

    def _finish(self, group: Group, error: BaseException | None) -> None:
        self._busy = False
        if error is None:
            self._apply(group)
        else:
            self._note(error)
            self._spool.undo()
            self._fail(group)
        if self._store.is_checkpoint_due() and not self._is_changed:
            self._hand_over(self._store.checkpoint, self._resume)
        elif self._waiting or (self._owed and error is None):
            self._schedule()

    def _apply(self, group: Group) -> None:
        changes = group.changes
        if self.fault is not None and not changes.is_empty():  # a group of duplicates says nothing about the store
            self._note(None)
        self._spool.keep()
        for settled in group.owed:
            del self._owed[settled.entry.seq]
        self._owed_at_once = min(2 * self._owed_at_once, _MAX_GROUP)
        # First the answers: nothing else is read before this is over.
        for (job, done), outcome in zip(group.jobs, group.outcomes, strict=True):
            if outcome is Outcome.FULL and isinstance(job, Marked):
                self._try_again([(job, done)])
            else:
                done(outcome)
        for key in changes.forgotten:
            self._states.pop(key, None)
            self._acked.pop(key, None)
        self._states.update(changes.states)
        self._acked.update(changes.acked)
        if changes.dead or changes.acknowledged:
            self.dead_count = min(self.dead_count + len(changes.dead), MAX_DEAD_LETTERS)
            unread = 0 if changes.acknowledged else self.unread_dead + len(changes.dead)
            self.unread_dead = min(unread, MAX_DEAD_LETTERS)
        if group.dropped:
            self._dropped.update(group.dropped)
        entries = [entry for seq in changes.spooled if (entry := self._spool.get(seq)) is not None]
        self.on_committed(entries, list(changes.states))

    def _fail(self, group: Group) -> None:
        """Refuse the updates; owe the ends of entries to the store; try the rest, which cannot be refused, again."""
        again: list[tuple[Job, Done]] = []
        self._owed_at_once = max(self._owed_at_once // 2, 1)
        for job, done in group.jobs:
            if isinstance(job, Update):
                done(Outcome.FAILED)
            elif isinstance(job, Settled):
                self._owe(job)
                done(Outcome.ACCEPTED)
            else:
                again.append((job, done))
        if again:
            self._try_again(again)

    def _owe(self, settled: Settled) -> None:
        entry = settled.entry
        if self._spool.get(entry.seq) is not entry:
            return
        self._spool.mark()
        self._spool.drop(entry)
        self._spool.keep()
        self._owed[entry.seq] = settled
        if settled.acked_ms is not None and entry.key in self._states:
            self._acked[entry.key] = settled.acked_ms

    def _try_again(self, items: list[tuple[Job, Done]]) -> None:
        self._loop.after(_RETRY_SECS, lambda: self._resubmit(items))

    def _resubmit(self, items: list[tuple[Job, Done]]) -> None:
        self._waiting.extend(items)
        self._schedule()

    def _resume(self, error: BaseException | None) -> None:
        """Go on after a checkpoint; one that failed is made up for by a later one."""
        self._busy = False
        if error is not None:
            self._note(error)
        if self._waiting:
            self._schedule()

    def _note(self, error: BaseException | None) -> None:
        """Take note of what the store can do; None says that it can be written."""
        fault = None if error is None else str(error)
        if fault != self.fault:
            if fault is None:
                logger.info("store writable again")
            else:
                logger.error("store failed: %s", fault)
        self.fault = fault
        if isinstance(error, StoreError):
            self._is_changed = self._is_changed or error.is_changed
            if error.is_full and not self._is_full:
                self._is_full = True
                self._store.give_up_reserve()
