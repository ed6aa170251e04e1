"""The tables of the store, and how a group of changes is written into them.

Source: docs/relay.md, "Reading the state", "Forwarding" and "What a 202 means".
"""

import sqlite3
import time
from typing import Final

import msgspec

from supervisor.relay.ledger.changes import MAX_DEAD_LETTERS, Changes

ACKNOWLEDGED: Final = 2
"""The row of `probe` with the number of the latest dead letter that somebody has taken note of."""

SCHEMA: Final = """
CREATE TABLE latest (client TEXT, chk TEXT, record BLOB, acked_ms INTEGER, PRIMARY KEY (client, chk)) WITHOUT ROWID;
CREATE TABLE transitions (client TEXT, chk TEXT, seq INTEGER, record BLOB, PRIMARY KEY (client, chk, seq))
                          WITHOUT ROWID;
CREATE TABLE seen (id INTEGER PRIMARY KEY, client TEXT, chk TEXT, request_id TEXT, fingerprint BLOB, at_ms INTEGER,
                   UNIQUE (client, chk, request_id));
CREATE TABLE spool (seq INTEGER PRIMARY KEY, client TEXT, chk TEXT, status TEXT, at_ms INTEGER, octets INTEGER,
                    record BLOB);
CREATE TABLE dead (id INTEGER PRIMARY KEY, record BLOB);
CREATE TABLE probe (id INTEGER PRIMARY KEY, at_ms INTEGER);
"""


class RowWriter:
    """Writes through one connection, on one thread at a time."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        self._writer = writer
        self._last_seen_id: int = writer.execute("SELECT coalesce(max(id), 0) FROM seen").fetchone()[0]
        self._expiry_checked = 0.0

    def write(self, changes: Changes) -> None:
        """Write `changes` within the transaction that is open."""
        writer = self._writer
        encode = msgspec.msgpack.encode
        for key in changes.forgotten:
            writer.execute("DELETE FROM latest WHERE client = ? AND chk = ?", key)
            writer.execute("DELETE FROM transitions WHERE client = ? AND chk = ?", key)
            writer.execute("DELETE FROM seen WHERE client = ? AND chk = ?", key)
        if changes.states:
            writer.executemany(
                "INSERT INTO latest (client, chk, record) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET record = excluded.record",
                [(*key, encode(state)) for key, state in changes.states.items()],
            )
        if changes.transitions:
            kept = [item for item in changes.transitions if changes.history]
            writer.executemany(
                "INSERT INTO transitions (client, chk, seq, record) VALUES (?, ?, ?, ?)",
                [(*key, transition.seq, encode(transition)) for key, transition in kept],
            )
            writer.executemany(
                "DELETE FROM transitions WHERE client = ? AND chk = ? AND seq <= ?",
                [(*key, transition.seq - changes.history) for key, transition in changes.transitions],
            )
        if changes.seen:
            self._remember(changes)
        if changes.unspooled:
            writer.executemany("DELETE FROM spool WHERE seq = ?", [(seq,) for seq in changes.unspooled])
        if changes.spooled:
            writer.executemany(
                "INSERT INTO spool (seq, client, chk, status, at_ms, octets, record) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(r.seq, *r.key, r.status, r.at_ms, r.size_bytes, r.record) for r in changes.spooled.values()],
            )
        if changes.acked:
            writer.executemany(
                "UPDATE latest SET acked_ms = ? WHERE client = ? AND chk = ?",
                [(at_ms, *key) for key, at_ms in changes.acked.items()],
            )
        if changes.dead:
            writer.executemany("INSERT INTO dead (record) VALUES (?)", [(encode(letter),) for letter in changes.dead])
            writer.execute("DELETE FROM dead WHERE id <= (SELECT max(id) FROM dead) - ?", (MAX_DEAD_LETTERS,))
        if changes.acknowledged:
            latest = "SELECT ?, coalesce(max(id), 0) FROM dead"
            writer.execute(f"INSERT OR REPLACE INTO probe (id, at_ms) {latest}", (ACKNOWLEDGED,))
        if changes.probe_ms is not None:
            writer.execute("INSERT OR REPLACE INTO probe (id, at_ms) VALUES (1, ?)", (changes.probe_ms,))

    def _remember(self, changes: Changes) -> None:
        writer = self._writer
        first_id = self._last_seen_id + 1
        writer.executemany(
            "INSERT OR REPLACE INTO seen (id, client, chk, request_id, fingerprint, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (seen_id, *key, request_id, fingerprint, at_ms)
                for seen_id, ((key, request_id), (fingerprint, at_ms)) in enumerate(changes.seen.items(), first_id)
            ],
        )
        self._last_seen_id += len(changes.seen)
        writer.execute("DELETE FROM seen WHERE id <= ?", (self._last_seen_id - changes.seen_max,))
        now = time.monotonic()
        if now - self._expiry_checked >= 1.0:
            self._expiry_checked = now
            writer.execute(
                "DELETE FROM seen WHERE id < (SELECT id FROM seen WHERE at_ms >= ? ORDER BY id LIMIT 1)",
                (changes.seen_expired_ms,),
            )
