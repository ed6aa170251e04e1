"""Group commit: everything that must be durable goes through here, in the order it came.

One group is planned against the committed state, written, and only then applied and answered::

    submit ──► waiting ──plan──► changes ══ write ══► apply ──► answers
                  ▲                           │
                  │                           └ failed: 503, nothing has changed
                  └── what comes meanwhile waits for the next group

While the disk is quick the loop writes by itself: to hand over to the committer thread and back takes as long as the
commit. After a slow commit the committer writes, until one is quick again; checkpoints are always its job. So a disk
that stalls holds up the loop once, not for good.

Source: docs/relay.md, "Reports", "Forwarding" and "As a service".
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from supervisor.host.loop import Loop
from supervisor.relay.checks.state import Key
from supervisor.relay.config.records import Config
from supervisor.relay.ledger.group import Group
from supervisor.relay.ledger.jobs import Done, Job, Outcome, Update
from supervisor.relay.ledger.store import Payload, Store, StoreError
from supervisor.relay.upstream.spool import Entry, Spool
from supervisor.relay.workers import Workers

logger = logging.getLogger(__name__)

_RETRY_SECS: Final = 1.0
_MAX_GROUP: Final = 1000
_QUICK_COMMIT_SECS: Final = 0.002


class Ledger:
    """The committed state and the one way to change it; main thread only."""

    def __init__(self, store: Store, loop: Loop, config: Config) -> None:
        self.config = config
        self.states = store.states
        self.acked = store.acked
        self.spool = Spool()
        self.dropped: Counter[str] = Counter()
        self.fault: str | None = None
        self.on_committed: Callable[[list[Entry], list[Key]], None] = lambda _spooled, _updated: None
        self._store = store
        self._loop = loop
        self._committer = Workers(loop, "committer", 1)
        self._waiting: list[tuple[Job, Done]] = []
        self._busy = False
        self._scheduled = False
        self._commit_secs = 0.0
        for seq, key, status, octets, at_ms in store.spooled():
            self.spool.append(Entry(seq, key, status, octets, at_ms, durable=True))
        self.spool.keep()

    def submit(self, job: Job, done: Done) -> None:
        """Queue `job`; `done` is called on the main thread when its fate is durable."""
        self._waiting.append((job, done))
        self._schedule()

    def is_idle(self) -> bool:
        """Return whether nothing waits to become durable."""
        return not (self._busy or self._waiting)

    def payload(self, entry: Entry) -> Payload:
        """Return what is to be sent for `entry`.

        Raises:
            StoreError: it cannot be read.
        """
        payload = self._store.payload(entry.seq)
        if payload is None:
            raise StoreError("the entry is missing in the store")
        return payload

    def probe(self) -> None:
        """Find out whether a store that failed can be written again."""
        if self.fault is not None and self.is_idle():
            group = self._group([])
            group.changes.probe_ms = time.time_ns() // 1_000_000
            self._write(group)

    def reconfigure(self, config: Config) -> None:
        """Use new limits from the next group on."""
        self.config = config

    def _schedule(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            # Not at once: every request that is ready in this turn of the loop shares the commit.
            self._loop.soon(self._start_group)

    def _start_group(self) -> None:
        self._scheduled = False
        if self._busy or not self._waiting:
            return
        jobs, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
        group = self._group(jobs)
        try:
            group.plan()
        except StoreError as error:
            self._finish(group, error)
            return
        if group.changes.is_empty():
            self._finish(group, None)
        else:
            self._write(group)

    def _group(self, jobs: list[tuple[Job, Done]]) -> Group:
        self.spool.mark()
        return Group(jobs, self.config, self.states, self.spool, self._store)

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
        except StoreError as error:
            return error
        finally:
            self._commit_secs = time.monotonic() - began
        return None

    def _finish(self, group: Group, error: BaseException | None) -> None:
        self._busy = False
        if error is None:
            self._apply(group)
        else:
            self._note(str(error))
            self.spool.undo()
            self._fail(group)
        if self._store.is_checkpoint_due():
            self._busy = True
            self._committer.submit(self._store.checkpoint, self._resume)
        elif self._waiting:
            self._schedule()

    def _apply(self, group: Group) -> None:
        changes = group.changes
        if not changes.is_empty():  # a group of duplicates says nothing about the store
            self._note(None)
        self.spool.keep()
        # First the answers: nothing else is read before this is over.
        for (_, done), outcome in zip(group.jobs, group.outcomes, strict=True):
            done(outcome)
        for key in changes.forgotten:
            self.states.pop(key, None)
            self.acked.pop(key, None)
        self.states.update(changes.states)
        self.acked.update(changes.acked)
        if group.dropped:
            self.dropped.update(group.dropped)
        entries = [entry for seq in changes.spooled if (entry := self.spool.get(seq)) is not None]
        self.on_committed(entries, list(changes.states))

    def _fail(self, group: Group) -> None:
        """Answer the updates; ends of spool entries and removals are tried again, they cannot be refused."""
        again = [item for item in group.jobs if not isinstance(item[0], Update)]
        for job, done in group.jobs:
            if isinstance(job, Update):
                done(Outcome.FAILED)
        if again:
            self._loop.after(_RETRY_SECS, lambda: self._resubmit(again))

    def _resubmit(self, items: list[tuple[Job, Done]]) -> None:
        self._waiting.extend(items)
        self._schedule()

    def _resume(self, error: BaseException | None) -> None:
        """Go on after a checkpoint; one that failed is made up for by a later one."""
        self._busy = False
        if error is not None:
            logger.warning("%s", error)
        if self._waiting:
            self._schedule()

    def _note(self, fault: str | None) -> None:
        if fault != self.fault:
            if fault is None:
                logger.info("the store can be written again")
            else:
                logger.error("the store failed: %s", fault)
        self.fault = fault
