"""Marks checks stale in the ledger when their ttl is over, and reports for them what `on_stale` says.

Source: docs/relay.md, "Reading the state".
"""

import logging
import time
from collections.abc import Iterable

from supervisor.relay.checks.registry import check_of, ttl_secs_of
from supervisor.relay.checks.report import Report
from supervisor.relay.checks.staleness import Staleness
from supervisor.relay.checks.state import Key
from supervisor.relay.config.records import Config
from supervisor.relay.ledger.jobs import Marked, Outcome, Update
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.net.answer import new_request_id

logger = logging.getLogger(__name__)


class Expiry:
    """The ttls of all checks; main thread only.

    A ttl runs on the monotonic clock from the latest update, so that nobody who sets the wall clock stops or shortens
    it. Only what was heard before the start is known by the wall clock alone.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger
        self._staleness = Staleness()
        now, wall_secs = time.monotonic(), time.time()
        for key, state in ledger.states.items():
            age_secs = max(0.0, wall_secs - state.updated_ms / 1000)
            self._staleness.heard(key, now - age_secs, ttl_secs_of(config, key))
        self.use(config)

    def use(self, config: Config) -> None:
        """Apply other ttls; a check that has none any more stops being stale."""
        self._config = config
        self._staleness.use(lambda key: ttl_secs_of(config, key))
        for key, state in self._ledger.states.items():
            if state.stale and ttl_secs_of(config, key) is None:
                self._ledger.submit(Marked(key=key, seen_id=state.request_id, stale=False), _nothing)

    def updated(self, keys: Iterable[Key]) -> None:
        """Updates of these checks have become durable."""
        now = time.monotonic()
        for key in keys:
            if not self._ledger.states[key].stale:
                self._staleness.heard(key, now, ttl_secs_of(self._config, key))

    def forget(self, keys: Iterable[Key]) -> None:
        """These checks are no more."""
        self._staleness.forget(keys)

    def tick(self) -> None:
        """Mark what has become stale; to be called every half second or so."""
        for key in self._staleness.take_due(time.monotonic()):
            self._mark(key)

    def _mark(self, key: Key) -> None:
        state = self._ledger.states.get(key)
        check = check_of(self._config, key)
        if state is None or state.stale or check is None or check.ttl_secs is None:
            return
        logger.info("check %s/%s is stale", *key)
        update = None
        if check.on_stale is not None:
            report = Report(check.on_stale, f"no update for {check.ttl_secs:g}s", "[]", ())
            update = Update(key=key, report=report, request_id=new_request_id(), stale=True)
        self._ledger.submit(Marked(key=key, seen_id=state.request_id, stale=True, update=update), _nothing)


def _nothing(_outcome: Outcome) -> None:
    """Nobody waits for the mark; the ledger tries until it is made."""
