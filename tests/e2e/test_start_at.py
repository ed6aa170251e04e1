"""`start_at` and `segment` on a real daemon: the common start, what is before it, and what is left of a restart."""

import signal
import time
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest

from common.digest import add_digests
from common.lateness import counts_of
from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

FAR_SECS = 3600


def body(path: Path, **fields: Any) -> dict[str, Any]:
    entry = {
        "signal_type": "metrics",
        "name": "up",
        "rate": 50,
        # On a busy machine the ticks have the rest of the run to be fired in.
        "duration": "2s",
        "gap_windows": [{"at": "600ms", "for": "1400ms"}],
        "generator": {"type": "step", "step_size": 1.0},
        "dynamic_labels": [{"key": "host", "prefix": "h", "cardinality": 10}],
        "encoder": {"type": "influx_lp"},
        "sink": {"type": "file", "path": str(path)},
    }
    return {"version": 2, "scenarios": [entry | fields]}


def asked(server: LiveServer, posted: dict[str, Any], query: str) -> dict[str, Any]:
    answer = server.post(posted, f"/scenarios?{query}")
    assert answer.status_code == 201, answer.text
    (row,) = answer.json().get("scenarios", [answer.json()])
    return dict(row)


def events(path: Path) -> list[tuple[int, bytes]]:
    """Stamp (ns) and the rest of every line."""
    return sorted((int(line.rsplit(b" ", 1)[1]), line.rsplit(b" ", 1)[0]) for line in path.read_bytes().splitlines())


def start_together(
    server: LiveServer, bodies: dict[str, tuple[str, dict[str, Any]]], written: Path
) -> tuple[int, dict[str, list[str]]]:
    """Launch bodies, each as a segment, at one instant; returns that (s) and the ids of each.

    A busy machine that does not come to the last one in time is given twice as long, and begins again with nothing
    written.
    """
    for lead_secs in (2, 4, 8, 16, 32):
        instant, ids = int(time.time()) + lead_secs, {}
        for name, (segment, posted) in bodies.items():
            answer = server.post(posted, f"/scenarios?segment={segment}&start_at={instant}&digest=true")
            if answer.status_code == 400 and "in the past" in answer.json()["detail"]:
                break
            assert answer.status_code == 201, answer.text
            ids[name] = [row["id"] for row in answer.json()["scenarios"]]
        else:
            return instant, ids
        for one in chain.from_iterable(ids.values()):
            server.delete(f"/scenarios/{one}")
        for path in written.iterdir():
            path.unlink()
    raise AssertionError("no launch was in time")


def test_segments_start_at_one_instant_and_write_what_the_whole_does(shared_server: LiveServer, tmp_path: Path) -> None:
    """Each waits until then, however long its launch took. The stamps are those of the whole, to the nanosecond; so are
    the edges of a gate, although the entry that it watches belongs to one of them."""
    server = shared_server
    flap = {"type": "flap", "up_duration": "130ms", "down_duration": "70ms"}
    gate = {"rate": 311, "while": {"ref": "up", "op": ">", "value": 0.5}}
    bodies = {}
    for name, segment in {"all": "1/1", "1": "1/3", "2": "2/3", "3": "3/3"}.items():
        posted = body(tmp_path / f"plain-{name}")
        posted["scenarios"] += body(tmp_path / f"up-{name}", id="up", name="link", generator=flap)["scenarios"]
        posted["scenarios"] += body(tmp_path / f"gated-{name}", name="gated", **gate)["scenarios"]
        bodies[name] = segment, posted
    instant, launched = start_together(server, bodies, tmp_path)
    ended = {name: [server.wait_for_state(one, "finished") for one in ids] for name, ids in launched.items()}

    assert events(tmp_path / "plain-all")[0][0] == instant * 10**9
    for kind in ("plain", "gated"):
        parts = [path for index in "123" if (path := tmp_path / f"{kind}-{index}").exists()]
        assert events(tmp_path / f"{kind}-all") == sorted(event for path in parts for event in events(path))
    gated = events(tmp_path / "gated-all")
    assert len([1 for (stamp, _), (later, _) in pairwise(gated) if later - stamp > 40_000_000]) == 2
    parts = [one for index in "123" for one in ended[index]]
    assert add_digests(one["digest"] for one in parts) == add_digests(one["digest"] for one in ended["all"])
    late = [counts_of(pair for one in some for pair in one["lateness_buckets"]) for some in (parts, ended["all"])]
    assert late[0].sum() == late[1].sum() == sum(one["total_events"] for one in ended["all"])


def test_before_its_start_a_scenario_is_pending_and_can_be_deleted(shared_server: LiveServer, tmp_path: Path) -> None:
    """Nothing is emitted, no time has passed, and its worker goes."""
    server = shared_server
    row = asked(server, body(tmp_path / "out"), f"start_at={time.time() + FAR_SECS}")
    assert row["state"] == "pending"
    detail = server.get(f"/scenarios/{row['id']}").json()
    assert (detail["state"], detail["elapsed_secs"], detail["stats"]["total_events"]) == ("pending", 0.0, 0)
    worker = server.worker(row["id"])
    deleted = server.delete(f"/scenarios/{row['id']}")
    assert (deleted.status_code, deleted.json()["status"], deleted.json()["total_events"]) == (200, "stopped", 0)
    assert not worker.is_running()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_outlives_the_daemon(start_server: StartServer, tmp_path: Path, end: signal.Signals) -> None:
    """It is still to come after a restart; a segment stays that segment."""
    options = ("--state-dir", str(tmp_path / "state"))
    first = start_server(*options)
    instant = time.time() + FAR_SECS
    row = asked(first, body(tmp_path / "out"), f"segment=2/3&start_at={instant}")
    shown = first.get(f"/scenarios/{row['id']}").json()
    first.stop(end)
    second = start_server(*options)
    wait_until(lambda: second.get(f"/scenarios/{row['id']}").status_code == 200, "the scenario goes on")
    again = second.get(f"/scenarios/{row['id']}").json()
    assert [again[name] for name in ("state", "segment", "start_at")] == ["pending", "2/3", shown["start_at"]]
    assert second.stats(row["id"])["target_rate"] == shown["config"]["rate"] * 0.3
    assert not (tmp_path / "out").exists()
