"""What the ledger is asked to make durable, and what becomes of it.

Source: docs/relay.md, "Forwarding" and "What a 202 means".
"""

import enum
from collections.abc import Callable

import msgspec

from supervisor.relay.checks.report import Report
from supervisor.relay.checks.state import Key
from supervisor.relay.ledger.store import DeadLetter
from supervisor.relay.net.identity import Peer
from supervisor.relay.upstream.spool import Entry


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
