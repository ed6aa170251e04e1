"""A run that was started on another host and goes on here."""

import time
from pathlib import Path

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

BODY = """\
version: 2
scenarios:
  - {signal_type: metrics, name: going, rate: 20, start_time: "2026-01-01T00:00:00Z", sink: {type: file, path: PATH},
     generator: {type: step, start: 0, step_size: 1}, dynamic_labels: [{key: host, prefix: h, cardinality: 3}]}
"""
BEHIND_SECS = 30


def test_a_run_goes_on_with_the_tick_of_now(shared_server: LiveServer, tmp_path: Path) -> None:
    """As if it had run here all the while: number, value, label and stamp; what is behind is a hole and not made."""
    path = tmp_path / "lines"
    began = time.time() - BEHIND_SECS
    query = f"/scenarios?segment=1/1&start_at={began:.3f}&resume=true"
    answer = shared_server.post_yaml(BODY.replace("PATH", str(path)), query)
    assert answer.status_code == 201, answer.text
    (launched,) = answer.json()["scenarios"]
    wait_until(lambda: path.exists() and path.read_text().count("\n") > 5, "some lines", 30)
    first, *others = path.read_text().splitlines()[:5]
    labels, value, stamp = first.split()
    tick = int(value)
    assert tick >= 20 * BEHIND_SECS
    assert labels == f'going{{host="h{tick % 3}"}}'
    assert int(stamp) == 1767225600_000 + tick * 50
    assert [int(line.split()[1]) for line in others] == [tick + 1, tick + 2, tick + 3, tick + 4]
    (hole,) = shared_server.get(f"/scenarios/{launched['id']}").json()["holes"]
    assert (hole["missed_ticks"], hole["reason"]) == (tick, "the run was started elsewhere, and goes on here")
    last = shared_server.delete(f"/scenarios/{launched['id']}?stats=true").json()
    assert last["stats"]["total_events"] == last["total_events"] == path.read_text().count("\n")


def test_a_start_is_needed(shared_server: LiveServer) -> None:
    """Without one it could not be said which tick is due; and only then an instant may lie in the past."""
    missing = shared_server.post_yaml(BODY, "/scenarios?resume=true")
    assert (missing.status_code, missing.json()["detail"]) == (
        400,
        "resume: start_at is missing, the instant at which the run was started",
    )
    past = shared_server.post_yaml(BODY, f"/scenarios?start_at={time.time() - BEHIND_SECS:.3f}")
    assert past.status_code == 400
    assert "in the past" in past.json()["detail"]
