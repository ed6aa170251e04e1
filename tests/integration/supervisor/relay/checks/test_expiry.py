"""Ttls on a real store and a real loop, whatever happens to the wall clock."""

import os
import time
from pathlib import Path

import pytest

from supervisor.host.loop import Loop
from supervisor.relay.checks.expiry import Expiry
from supervisor.relay.checks.report import Report
from supervisor.relay.config.reader import load
from supervisor.relay.ledger.jobs import Outcome, Update
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.ledger.store import Store

KEY = ("agent", "c")
DAY_SECS = 86400


@pytest.mark.parametrize("step_secs", [-DAY_SECS, 0, DAY_SECS])
def test_a_step_of_the_wall_clock_with_a_reload_stops_no_ttl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_secs: int
) -> None:
    """The check goes stale after its ttl, neither never nor at once, and `on_stale` is reported."""
    check = 'c: {urn: "a:b", ttl: 1h, on_stale: error}'
    path = tmp_path / "relay.yaml"
    path.write_text(
        f"version: 1\nrelay: {{run_dir: {tmp_path}, state_dir: {tmp_path}}}\nspool: {{sync: off}}\n"
        f"clients: {{agent: {{uid: {os.geteuid()}, checks: {{{check}}}}}}}\n"
    )
    config, loop = load(str(path)), Loop()
    ledger = Ledger(Store(str(tmp_path)), loop, config)
    expiry = Expiry(config, ledger)
    ledger.on_committed = lambda _spooled, updated: expiry.updated(updated)
    outcomes: list[Outcome] = []
    ledger.submit(Update(key=KEY, report=Report("ok", "1", "[]", ()), request_id="A"), outcomes.append)
    while not outcomes:
        loop.turn()
    wall_secs, wall_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall_secs() + step_secs)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + step_secs * 10**9)
    monotonic, later_secs = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + later_secs)
    expiry.use(config)
    expiry.tick()
    assert not ledger.states[KEY].stale
    later_secs = 3600.0
    while not ledger.states[KEY].stale:
        loop.after(0.05, expiry.tick)
        loop.turn()
    assert (ledger.states[KEY].status, ledger.states[KEY].message) == ("error", "no update for 3600s")
    while not ledger.is_idle():
        loop.turn()
    ledger.close()
    loop.close()
