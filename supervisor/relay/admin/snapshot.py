"""Everything a listing shows, copied at one moment, so that a worker thread can render it. Pure.

Source: docs/relay.md, "Reading the state".
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from supervisor.relay.checks.registry import check_of
from supervisor.relay.checks.state import CheckState, Key, Shown
from supervisor.relay.config.records import Config


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """States, and what is known beside them. `listening` holds the names of clients whose socket is open."""

    config: Config
    states: dict[Key, CheckState]
    acked: dict[Key, int]
    pending: dict[Key, int]
    listening: frozenset[str]

    def keys(self) -> list[Key]:
        """Return every configured check and every accepted one, sorted by client, then check."""
        configured = {(client.name, check) for client in self.config.clients.values() for check in client.checks}
        return sorted(configured | set(self.states))

    def show(self, key: Key) -> Shown | None:
        """Return the line of `key`, None when it is neither configured nor known."""
        check = check_of(self.config, key)
        state = self.states.get(key)
        if check is None and state is None:
            return None
        return Shown(
            key=key,
            state=state,
            urn=check.roots if check is not None else (),
            listening=key[0] in self.listening,
            pending=self.pending.get(key, 0),
            acked_ms=self.acked.get(key),
        )

    def select(self, client: str | None, status: str | None, stale: bool | None) -> Iterator[Shown]:
        """Yield the lines that match; `status` "null" means never reported."""
        for key in self.keys():
            if client is not None and key[0] != client:
                continue
            shown = self.show(key)
            if shown is None:
                continue
            state = shown.state
            if status is not None and (state.status if state else "null") != status:
                continue
            if stale is not None and (state.stale if state else False) != stale:
                continue
            yield shown

    def page(
        self, client: str | None, status: str | None, stale: bool | None, limit: int, offset: int
    ) -> dict[str, Any]:
        """Return one page of the listing and how many lines match in all."""
        lines = list(self.select(client, status, stale))
        return {"checks": [line.as_json() for line in lines[offset : offset + limit]], "total": len(lines)}
