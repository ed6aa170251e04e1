"""What the relay knows about each (client, check): the latest update and how it came about.

Records are frozen and replaced as a whole, so that a worker thread may read a list of them while the loop goes on.

Source: docs/relay.md, "Reading the state".
"""

import datetime
import functools
import json
from typing import Any, Final

import msgspec

from supervisor.relay.net.identity import Peer

Key = tuple[str, str]


class CheckState(msgspec.Struct, frozen=True, kw_only=True):
    """The latest state of one check. Times in milliseconds since the Unix epoch.

    `via` is None for a configured check; else the client (or "" for the pure socket) whose `accept_unknown` let it in.
    `updates` counts accepted updates by status in the order ok, warn, error. `spooled_ms` is when the latest of them
    that went into the spool was accepted.
    """

    status: str
    message: str
    metrics: str
    updated_ms: int
    origin_ms: int
    since_ms: int
    updates: tuple[int, int, int]
    transitions: int
    stale: bool
    request_id: str
    peer: Peer | None
    via: str | None = None
    spooled_ms: int = 0


class Transition(msgspec.Struct, frozen=True):
    """A change of status. `seq` counts from 1 per check and is never reused."""

    seq: int
    at_ms: int
    before: str | None
    after: str
    message: str
    request_id: str

    def as_json(self) -> dict[str, Any]:
        """Return the entry as shown to readers."""
        return {
            "seq": self.seq,
            "at": utc_text(self.at_ms),
            "from": self.before,
            "to": self.after,
            "message": self.message,
            "request_id": self.request_id,
        }


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a listing: the state (None before the first update) and what is known beside it."""

    key: Key
    state: CheckState | None
    urn: tuple[str, ...]
    listening: bool
    pending: int
    acked_ms: int | None

    def as_json(self) -> dict[str, Any]:
        """Return the state as `GET /checks/<client>/<check>` shows it. Source: docs/relay.md, "Reading the state"."""
        state = self.state
        client, check = self.key
        return {
            "client": client,
            "check": check,
            "urn": list(self.urn),
            "status": state.status if state else None,
            "message": state.message if state else "",
            "metrics": json.loads(state.metrics) if state else [],
            "updated_at": utc_text(state.updated_ms) if state else None,
            "origin_at": utc_text(state.origin_ms) if state else None,
            "since": utc_text(state.since_ms) if state else None,
            "updates": sum(state.updates) if state else 0,
            "transitions": state.transitions if state else 0,
            "stale": state.stale if state else False,
            "request_id": state.request_id if state else None,
            "peer": msgspec.to_builtins(state.peer) if state else None,
            "listening": self.listening,
            "forward": {"pending": self.pending, "last_acked_at": utc_text(self.acked_ms)},
        }


_EPOCH: Final = datetime.datetime(1970, 1, 1)


def utc_text(at_ms: int | None) -> str | None:
    """Return `YYYY-MM-DDTHH:MM:SS.mmmZ`; None stays None."""
    if at_ms is None:
        return None
    secs, ms = divmod(at_ms, 1000)
    return f"{_second_text(secs)}.{ms:03d}Z"


@functools.lru_cache(maxsize=256)
def _second_text(secs: int) -> str:
    # PERF: what is shown and logged is of few seconds.
    return (_EPOCH + datetime.timedelta(seconds=secs)).isoformat()
