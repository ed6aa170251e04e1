"""What the ledger is asked to make durable, and what becomes of it.

Source: docs/relay.md, "Forwarding" and "What a 202 means".
"""

import enum
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from supervisor.relay.checks.report import Report
from supervisor.relay.checks.state import Key
from supervisor.relay.ledger.changes import DeadLetter
from supervisor.relay.net.identity import Peer
from supervisor.relay.upstream.spool import SpoolEntry

# What an entry may be given up for.
DROP_REASONS: Final = ("coalesced", "overflow", "expired", "damaged")


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
    """The end of a spool entry: acknowledged, refused for good (with a dead letter), or given up for a reason."""

    entry: SpoolEntry
    acked_ms: int | None = None
    dead: DeadLetter | None = None
    dropped: Literal["expired", "damaged"] | None = None


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A check that goes stale, or stops being so, unless another update than `seen_id` came meanwhile.

    `update` is what the relay itself reports of a check that goes stale, None for nothing.
    """

    key: Key
    seen_id: str
    stale: bool
    update: Update | None = None


class Forgotten(msgspec.Struct, frozen=True):
    """State that the configuration no longer knows."""

    keys: tuple[Key, ...]


class Acknowledged(msgspec.Struct, frozen=True):
    """Somebody has taken note of all dead letters so far."""


Job = Update | Settled | Marked | Forgotten | Acknowledged
Done = Callable[[Outcome], None]
