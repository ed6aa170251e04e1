"""One group of jobs -> the changes that one transaction makes durable.

Source: docs/relay.md, "Reports", "Reading the state", "Forwarding" and "What a 202 means".
"""

import time
from collections.abc import Mapping

import msgspec

from supervisor.relay.checks.report import STATUSES
from supervisor.relay.checks.state import CheckState, Key, Transition
from supervisor.relay.config.records import Config
from supervisor.relay.ledger.changes import Changes, Payload, SpoolRow
from supervisor.relay.ledger.jobs import Acknowledged, Done, Forgotten, Job, Marked, Outcome, Settled, Update
from supervisor.relay.ledger.store import Store
from supervisor.relay.upstream.spool import Spool, SpoolEntry


class Group:
    """Jobs that share a commit, each planned as if those before it had been committed already.

    `owed` are ends of entries that have left the index already, because an earlier group could not be written.
    Planning changes the index of the spool, between its `mark` and its `keep` or `undo`; everything else only grows in
    `changes`. `outcomes` has one item per planned job, `dropped` the reason of every spool entry given up.
    """

    def __init__(
        self,
        jobs: list[tuple[Job, Done]],
        owed: list[Settled],
        config: Config,
        states: Mapping[Key, CheckState],
        spool: Spool,
        store: Store,
    ) -> None:
        self.jobs = jobs
        self.owed = owed
        self.outcomes: list[Outcome] = []
        self.dropped: list[str] = []
        self._config = config
        self._states = states
        self._spool = spool
        self._store = store
        self._now_ms = time.time_ns() // 1_000_000
        self._window_ms = int(config.dedupe.window_secs * 1000)
        self.changes = Changes(
            history=config.relay.history,
            seen_expired_ms=self._now_ms - self._window_ms,
            seen_max=config.dedupe.max_entries,
        )

    def plan(self) -> None:
        """Work out `outcomes` and `changes`.

        Raises:
            StoreError: the store cannot be read.
        """
        for settled in self.owed:
            self._record_end(settled)
        for job, _ in self.jobs:
            outcome = Outcome.ACCEPTED
            match job:
                case Update():
                    outcome = self._update(job)
                case Settled():
                    self._settle(job)
                case Marked():
                    outcome = self._mark(job)
                case Forgotten():
                    self._forget(job)
                case Acknowledged():
                    self.changes.acknowledged = True
            self.outcomes.append(outcome)

    def _update(self, update: Update) -> Outcome:
        known = self._seen(update)
        if known is not None:
            return Outcome.DUPLICATE if known == update.fingerprint else Outcome.CONFLICT
        before = self._state(update.key)
        forwarded = self._is_forwarded(update, before)
        if forwarded and not self._append(update):
            return Outcome.FULL
        state = self._next_state(update, before, forwarded=forwarded)
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

    def _state(self, key: Key) -> CheckState | None:
        """Return the state as it is after the jobs planned so far."""
        state = self.changes.states.get(key)
        if state is None and key not in self.changes.forgotten:
            state = self._states.get(key)
        return state

    def _seen(self, update: Update) -> bytes | None:
        """Return the fingerprint of an earlier update with the same supplied id."""
        if update.fingerprint is None or not self._window_ms:
            return None
        known = self.changes.seen.get((update.key, update.request_id))
        if known is None and update.key not in self.changes.forgotten:
            known = self._store.seen(update.key, update.request_id)
        return known[0] if known and known[1] >= self.changes.seen_expired_ms else None

    def _next_state(self, update: Update, before: CheckState | None, *, forwarded: bool) -> CheckState:
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
            spooled_ms=self._now_ms if forwarded or before is None else before.spooled_ms,
        )

    def _is_forwarded(self, update: Update, before: CheckState | None) -> bool:
        upstream = self._config.upstream
        if upstream is None:
            return False
        if upstream.forward == "all" or before is None or before.status != update.report.status:
            return True
        return self._now_ms - before.spooled_ms >= upstream.heartbeat_secs * 1000

    def _append(self, update: Update) -> bool:
        """Queue the update for the upstream; False when the spool is full."""
        report = update.report
        origin_ms = self._now_ms if update.origin_ms is None else update.origin_ms
        message = msgspec.json.encode(report.message).decode()
        body = f'{{"status":"{report.status}","message":{message},"metrics":{report.metrics}}}'
        record = msgspec.msgpack.encode(Payload(update.request_id, origin_ms, update.path, body))
        size_bytes = len(record) + sum(map(len, update.key))
        dropped = self._spool.make_room(self._config.spool, update.key, report.status, size_bytes)
        if dropped is None:
            return False
        for entry, reason in dropped:
            self._remove(entry.seq)
            self.dropped.append(reason)
        seq = self._spool.next_seq()
        self._spool.append(SpoolEntry(seq, update.key, report.status, size_bytes, self._now_ms, durable=False))
        self.changes.spooled[seq] = SpoolRow(seq, update.key, report.status, self._now_ms, size_bytes, record)
        return True

    def _remove(self, seq: int) -> None:
        if self.changes.spooled.pop(seq, None) is None:
            self.changes.unspooled.append(seq)

    def _settle(self, settled: Settled) -> None:
        entry = settled.entry
        if self._spool.get(entry.seq) is not entry:
            return
        self._spool.drop(entry)
        self._record_end(settled)

    def _record_end(self, settled: Settled) -> None:
        entry = settled.entry
        self._remove(entry.seq)
        if settled.acked_ms is not None and entry.key in self._states:
            self.changes.acked[entry.key] = settled.acked_ms
        if settled.dead is not None:
            self.changes.dead.append(settled.dead)
        if settled.dropped is not None:
            self.dropped.append(settled.dropped)

    def _mark(self, marked: Marked) -> Outcome:
        state = self._state(marked.key)
        if state is None or state.request_id != marked.seen_id or state.stale == marked.stale:
            return Outcome.ACCEPTED
        if marked.update is not None:
            return self._update(marked.update)
        self.changes.states[marked.key] = msgspec.structs.replace(state, stale=marked.stale)
        return Outcome.ACCEPTED

    def _forget(self, forgotten: Forgotten) -> None:
        for key in forgotten.keys:
            self.changes.states.pop(key, None)
            self.changes.forgotten.add(key)
        gone = frozenset(forgotten.keys)
        self.changes.transitions = [item for item in self.changes.transitions if item[0] not in gone]
        self.changes.seen = {known: value for known, value in self.changes.seen.items() if known[0] not in gone}
