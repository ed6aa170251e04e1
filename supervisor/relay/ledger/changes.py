"""What one transaction makes durable: the rows of the store, and the group of changes to them. Pure.

Source: docs/relay.md, "What a 202 means".
"""

from typing import Final

import msgspec

from supervisor.relay.checks.state import CheckState, Key, Transition

MAX_DEAD_LETTERS: Final = 1000


class Payload(msgspec.Struct, frozen=True):
    """What is sent upstream. `origin_ms` is the acceptance time at the first relay, `path` the relay ids before us."""

    request_id: str
    origin_ms: int
    path: tuple[str, ...]
    body: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that the upstream refused for good, with its answer."""

    client: str
    check: str
    request_id: str
    accepted_ms: int
    refused_ms: int
    answer_status: int
    answer: str
    body: str


class SpoolRow(msgspec.Struct, frozen=True):
    """A spool entry as it is stored."""

    seq: int
    key: Key
    status: str
    at_ms: int
    size_bytes: int
    record: bytes


class Changes(msgspec.Struct):
    """One group of changes, all or nothing."""

    states: dict[Key, CheckState] = {}
    transitions: list[tuple[Key, Transition]] = []
    forgotten: set[Key] = set()
    seen: dict[tuple[Key, str], tuple[bytes, int]] = {}
    spooled: dict[int, SpoolRow] = {}
    unspooled: list[int] = []
    acked: dict[Key, int] = {}
    dead: list[DeadLetter] = []
    acknowledged: bool = False
    history: int = 0
    seen_expired_ms: int = 0
    seen_max: int = 0
    probe_ms: int | None = None

    def is_empty(self) -> bool:
        """Return whether there is nothing to write."""
        changed = self.states or self.forgotten or self.unspooled or self.spooled or self.dead
        return not (changed or self.acknowledged or self.probe_ms)
