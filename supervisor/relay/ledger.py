"""Group commit: everything that must be durable goes through here, in the order it came.

One group is planned against the committed state, written by the committer thread, and only then applied and answered::

    submit ──► waiting ──plan──► Changes ══ committer thread ══► written ──► apply ──► answers
                  ▲                                                │
                  └── what comes meanwhile waits for the next ◄────┘ failed: 503, nothing has changed

Source: relay contract, sections 7.3 (steps 16 to 18), 10, 11.1, 11.4 and 12.
"""

import enum
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from supervisor.relay.config import Config
from supervisor.relay.identity import Peer
from supervisor.relay.loop import Loop
from supervisor.relay.report import STATUSES, Report, encode_json
from supervisor.relay.spool import Entry, Spool
from supervisor.relay.state import CheckState, Key, Transition
from supervisor.relay.store import Changes, DeadLetter, Payload, SpoolRow, Store, StoreError
from supervisor.relay.workers import Workers

logger = logging.getLogger(__name__)

_RETRY_SECS: Final = 1.0
_MAX_GROUP: Final = 1000


class Outcome(enum.Enum):
    """What became of an update."""

    ACCEPTED = enum.auto()
    DUPLICATE = enum.auto()
    CONFLICT = enum.auto()
    FULL = enum.auto()
    FAILED = enum.auto()


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """An update that passed every check. `fingerprint` is set when the requester supplied the request id."""

    key: Key
    report: Report
    request_id: str
    fingerprint: bytes | None = None
    peer: Peer | None = None
    via: str | None = None
    origin_ms: int | None = None
    path: tuple[str, ...] = ()
    stale: bool = False


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a spool entry: acknowledged, refused for good (with a dead letter), or too old."""

    entry: Entry
    acked_ms: int | None = None
    dead: DeadLetter | None = None
    expired: bool = False


class Forgotten(msgspec.Struct, frozen=True):
    """State that the configuration no longer knows."""

    keys: tuple[Key, ...]


Job = Update | Settled | Forgotten
Done = Callable[[Outcome], None]


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
        self.last_spooled_ms: dict[Key, int] = {}
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
            self._write(Changes(probe_ms=_now_ms()), [], [])

    def reconfigure(self, config: Config) -> None:
        """Use new limits from the next group on."""
        if config.spool.sync != self.config.spool.sync:
            self._committer.submit(lambda: self._store.set_sync(sync=config.spool.sync == "commit"), lambda _: None)
        self.config = config

    def _schedule(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            # Not at once: every request that is ready in this turn of the loop shares the commit.
            self._loop.call_soon(self._start_group)

    def _start_group(self) -> None:
        self._scheduled = False
        if self._busy or not self._waiting:
            return
        group, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
        self.spool.mark()
        plan = _Plan(self, self._store)
        try:
            outcomes = [plan.take(job) for job, _ in group]
        except StoreError as error:
            self._finish(group, [], plan, error)
            return
        if plan.changes.is_empty():
            self._finish(group, outcomes, plan, None)
        else:
            self._write(plan.changes, group, outcomes, plan)

    def _write(
        self, changes: Changes, group: list[tuple[Job, Done]], outcomes: list[Outcome], plan: "_Plan | None" = None
    ) -> None:
        self._busy = True
        self._committer.submit(
            lambda: self._store.write(changes), lambda error: self._finish(group, outcomes, plan, error)
        )

    def _finish(
        self,
        group: list[tuple[Job, Done]],
        outcomes: list[Outcome],
        plan: "_Plan | None",
        error: BaseException | None,
    ) -> None:
        self._busy = False
        if error is None:
            self._note(None)
            if plan is not None:
                self._apply(plan)
            for (_, done), outcome in zip(group, outcomes, strict=True):
                done(outcome)
        else:
            self._note(str(error))
            self.spool.undo()
            self._fail(group)
        if self._waiting:
            self._schedule()

    def _apply(self, plan: "_Plan") -> None:
        changes = plan.changes
        self.spool.keep()
        for key in changes.forgotten:
            self.states.pop(key, None)
            self.acked.pop(key, None)
            self.last_spooled_ms.pop(key, None)
        self.states.update(changes.states)
        self.acked.update(changes.acked)
        self.last_spooled_ms.update(plan.last_spooled_ms)
        self.dropped.update(plan.dropped)
        entries = [entry for seq in changes.spooled if (entry := self.spool.get(seq)) is not None]
        self.on_committed(entries, list(changes.states))

    def _fail(self, group: list[tuple[Job, Done]]) -> None:
        """Answer the updates; ends of spool entries and removals are tried again, they cannot be refused."""
        again = [item for item in group if not isinstance(item[0], Update)]
        for job, done in group:
            if isinstance(job, Update):
                done(Outcome.FAILED)
        if again:
            self._loop.call_later(_RETRY_SECS, lambda: self._resubmit(again))

    def _resubmit(self, items: list[tuple[Job, Done]]) -> None:
        self._waiting.extend(items)
        self._schedule()

    def _note(self, fault: str | None) -> None:
        if fault != self.fault:
            if fault is None:
                logger.info("The store can be written again.")
            else:
                logger.error("The store failed: %s.", fault)
        self.fault = fault


class _Plan:
    """The changes of one group, as if every job before had been committed already."""

    def __init__(self, ledger: Ledger, store: Store) -> None:
        config = ledger.config
        self._ledger = ledger
        self._store = store
        self._now_ms = _now_ms()
        self._window_ms = int(config.dedupe.window_secs * 1000)
        self.dropped: Counter[str] = Counter()
        self.last_spooled_ms: dict[Key, int] = {}
        self.changes = Changes(
            history=config.relay.history,
            seen_expired_ms=self._now_ms - self._window_ms,
            seen_max=config.dedupe.max_entries,
        )

    def take(self, job: Job) -> Outcome:
        if isinstance(job, Update):
            return self._update(job)
        if isinstance(job, Settled):
            self._settle(job)
        else:
            self._forget(job)
        return Outcome.ACCEPTED

    def _update(self, update: Update) -> Outcome:
        known = self._seen(update)
        if known is not None:
            return Outcome.DUPLICATE if known == update.fingerprint else Outcome.CONFLICT
        before = self.changes.states.get(update.key)
        if before is None and update.key not in self.changes.forgotten:
            before = self._ledger.states.get(update.key)
        state = self._next_state(update, before)
        if self._is_forwarded(update, before) and not self._spool(update):
            return Outcome.FULL
        self.changes.states[update.key] = state
        if before is None or before.status != state.status:
            transition = Transition(
                state.transitions,
                self._now_ms,
                before.status if before else None,
                state.status,
                state.message,
                state.request_id,
            )
            self.changes.transitions.append((update.key, transition))
        if update.fingerprint is not None and self._window_ms:
            self.changes.seen[update.key, update.request_id] = (update.fingerprint, self._now_ms)
        return Outcome.ACCEPTED

    def _seen(self, update: Update) -> bytes | None:
        """Return the fingerprint of an earlier update with the same supplied id."""
        if update.fingerprint is None or not self._window_ms:
            return None
        known = self.changes.seen.get((update.key, update.request_id)) or self._store.seen(
            update.key, update.request_id
        )
        return known[0] if known and known[1] >= self.changes.seen_expired_ms else None

    def _next_state(self, update: Update, before: CheckState | None) -> CheckState:
        report = update.report
        counts = list(before.updates) if before else [0, 0, 0]
        counts[STATUSES.index(report.status)] += 1
        changed = before is None or before.status != report.status
        return CheckState(
            status=report.status,
            message=report.message,
            metrics=report.metrics,
            updated_ms=self._now_ms,
            origin_ms=self._now_ms if update.origin_ms is None else update.origin_ms,
            since_ms=self._now_ms if before is None or changed else before.since_ms,
            updates=(counts[0], counts[1], counts[2]),
            transitions=(before.transitions if before else 0) + changed,
            stale=update.stale,
            request_id=update.request_id,
            peer=update.peer,
            via=update.via,
        )

    def _is_forwarded(self, update: Update, before: CheckState | None) -> bool:
        upstream = self._ledger.config.upstream
        if upstream is None:
            return False
        if upstream.forward == "all" or before is None or before.status != update.report.status:
            return True
        last_ms = self.last_spooled_ms.get(update.key) or self._ledger.last_spooled_ms.get(update.key, 0)
        return self._now_ms - last_ms >= upstream.heartbeat_secs * 1000

    def _spool(self, update: Update) -> bool:
        """Queue the update for the upstream; False when the spool is full."""
        spool = self._ledger.spool
        report = update.report
        origin_ms = self._now_ms if update.origin_ms is None else update.origin_ms
        body = f'{{"status":"{report.status}","message":{encode_json(report.message)},"metrics":{report.metrics}}}'
        record = msgspec.msgpack.encode(Payload(update.request_id, origin_ms, update.path, body))
        octets = len(record) + sum(map(len, update.key))
        dropped = spool.make_room(self._ledger.config.spool, update.key, report.status, octets)
        if dropped is None:
            return False
        for entry, reason in dropped:
            self._unspool(entry.seq)
            self.dropped[reason] += 1
        seq = spool.next_seq()
        spool.append(Entry(seq, update.key, report.status, octets, self._now_ms, durable=False))
        self.changes.spooled[seq] = SpoolRow(seq, update.key, report.status, self._now_ms, octets, record)
        self.last_spooled_ms[update.key] = self._now_ms
        return True

    def _unspool(self, seq: int) -> None:
        if self.changes.spooled.pop(seq, None) is None:
            self.changes.unspooled.append(seq)

    def _settle(self, settled: Settled) -> None:
        entry = settled.entry
        if self._ledger.spool.get(entry.seq) is not entry:
            return
        self._ledger.spool.drop(entry)
        self._unspool(entry.seq)
        if settled.acked_ms is not None and entry.key in self._ledger.states:
            self.changes.acked[entry.key] = settled.acked_ms
        if settled.dead is not None:
            self.changes.dead.append(settled.dead)
        if settled.expired:
            self.dropped["expired"] += 1

    def _forget(self, forgotten: Forgotten) -> None:
        for key in forgotten.keys:
            self.changes.states.pop(key, None)
            self.changes.forgotten.add(key)
        self.changes.transitions = [item for item in self.changes.transitions if item[0] not in forgotten.keys]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
