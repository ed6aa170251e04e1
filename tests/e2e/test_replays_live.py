"""Recordings through a live server: what is replayed, and how bad files and outsized bodies are refused."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.compiler.replays.csv_text import MAX_CSV_BYTES
from tests.support.live_server import LiveServer

METRICS = "generator"
LOGS = "log_generator"


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


def replaying(path: Path, block: str = METRICS, **fields: Any) -> dict[str, Any]:
    recording = {"type": "csv_replay", "file": str(path)} | fields.pop("replay", {})
    return {
        "signal_type": "logs" if block == LOGS else "metrics",
        "name": "recording",
        "rate": 1,
        block: recording,
        "sink": {"type": "memory"},
        **fields,
    }


def body(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"version": 2, "scenarios": list(entries)}


def test_each_column_is_a_scenario(server: LiveServer, tmp_path: Path) -> None:
    """A file of several columns launches one scenario for each, in their order, with its name, labels and values."""
    recording = tmp_path / "web.csv"
    header = 't,requests,"{__name__=""cpu"",core=""0""}","temperature{core=""1""}"'
    recording.write_text(header + "\n" + "".join(f"{n},{n},{n * 10},{n / 4}\n" for n in range(5)))
    entry = replaying(recording, replay={"timescale": 40, "repeat": False}, labels={"host": "a"})
    rows = server.launch(body(entry))
    assert [row["name"] for row in rows] == ["requests", "cpu", "temperature"]
    expected = [
        ("requests", 'host="a"', ["0", "1", "2", "3", "4", "4", "4"]),
        ("cpu", 'core="0",host="a"', ["0", "10", "20", "30", "40", "40", "40"]),
        ("temperature", 'core="1",host="a"', ["0", "0.25", "0.5", "0.75", "1", "1", "1"]),
    ]
    for row, (name, labels, values) in zip(rows, expected, strict=True):
        stats = server.wait_for_events(row["id"], len(values))
        assert stats["target_rate"] == 40
        lines = server.get(f"/scenarios/{row['id']}/metrics", params={"limit": "1000"}).text.splitlines()
        assert [line.split()[0] for line in lines[:7]] == [f"{name}{{{labels}}}"] * 7
        assert [line.split()[1] for line in lines[:7]] == values
        shown = server.get(f"/scenarios/{row['id']}").json()
        assert shown["state"] == "running"


def test_a_silence_is_replayed_as_silence(server: LiveServer, tmp_path: Path) -> None:
    """Blank cells in a declared window are not emitted; the ticks behind them keep their numbers and instants."""
    recording, output = tmp_path / "outage.csv", tmp_path / "out"
    cells = ["1", "2", "", "", "5", "6"]
    recording.write_text("t,up\n" + "".join(f"{n * 0.1:.1f},{cell}\n" for n, cell in enumerate(cells)))
    entry = replaying(
        recording,
        replay={"repeat": False},
        gap_windows=[{"at": "150ms", "for": "200ms"}],
        sink={"type": "file", "path": str(output)},
    )
    (row,) = server.launch(body(entry))
    server.wait_for_events(row["id"], 4)
    server.delete(f"/scenarios/{row['id']}")
    found = [line.split() for line in output.read_text().splitlines()]
    first_ms = int(found[0][2])
    replayed = [(value, int(stamp) - first_ms) for _, value, stamp in found]
    assert replayed[:4] == [("1", 0), ("2", 100), ("5", 400), ("6", 500)]


def test_the_server_keeps_nothing_of_recordings(server: LiveServer, tmp_path: Path) -> None:
    """Neither while they run nor afterwards, whichever of its threads has read them."""
    columns, rows = 8, 200_000
    recording = tmp_path / "wide.csv"
    header = ",".join(["t", *(f"c{n}" for n in range(columns))])
    recording.write_text(header + "\n" + "".join(f"{n}{f',{n}.5' * columns}\n" for n in range(rows)))
    process = psutil.Process(server.pid)

    def replay() -> int:
        launched = server.launch(body(replaying(recording)))
        assert len(launched) == columns
        held: int = process.memory_full_info().uss
        for row in launched:
            server.delete(f"/scenarios/{row['id']}")
        return held

    first = replay()
    assert max(replay() for _ in range(4)) - first < 8 * columns * rows


def test_log_rows_are_replayed(server: LiveServer, tmp_path: Path) -> None:
    """Severity, message and the further columns of each row, at the pace of the timestamps, over and over."""
    recording, output = tmp_path / "log.csv", tmp_path / "out"
    recording.write_text('time,level,msg,user\n1,WARNING,"hello, ""you""",ann\n1.05,odd,plain,\n')
    entry = replaying(recording, LOGS, sink={"type": "file", "path": str(output)}, encoder={"type": "json_lines"})
    (row,) = server.launch(body(entry))
    stats = server.wait_for_events(row["id"], 4)
    assert stats["target_rate"] == pytest.approx(20)
    server.delete(f"/scenarios/{row['id']}")
    events = [json.loads(line) for line in output.read_text().splitlines()][:4]
    shown = [(event["severity"], event["message"], event["fields"]) for event in events]
    assert shown == [("warn", 'hello, "you"', {"user": "ann"}), ("info", "plain", {})] * 2


@pytest.mark.parametrize(
    ("block", "content", "words"),
    [
        (METRICS, None, ["cannot read file"]),
        (METRICS, b"", ["no non-comment, non-empty lines"]),
        (LOGS, b"", ["no header line"]),
        (METRICS, b"t,a\n1,2\n", ["fewer than 2 data rows"]),
        (METRICS, b"t,a\n1,2\n2,\xff\n", ["line 3, byte 3", "not UTF-8"]),
        (LOGS, b"time,msg\n1,hello\n2,a\xfe\n", ["line 3, byte 4", "not UTF-8"]),
        (METRICS, b"t,a\n1,2\n2,two\n3,4\n", ["line 3, column 1", '"two" is not a number']),
        (METRICS, b"t,a,b\n1,2,3\n2,2\n3,4,5\n", ["line 3 has 2 column(s)", "column 2 is missing"]),
        (METRICS, b"t,a\n1,2\nnoon,3\n", ['data row 1 column 0: "noon"']),
        (LOGS, b"msg,time\nhello,1\nyou,noon\n", ['data row 1 column 1: "noon"']),
        (METRICS, b"t,a\n2,1\n1,3\n", ["data row 1", "1 is not greater than the previous row's 2"]),
        (METRICS, b"t,a\n1,1\n2,\n3,3\n", ["blank cell"]),
        (METRICS, b"t,a\n1,1\n2," + b"3" * 70_000, ["line 3 has more than 65536 characters"]),
    ],
    ids=lambda value: None if isinstance(value, list) else ascii(value)[:30],
)
def test_a_bad_file_is_refused(
    server: LiveServer, tmp_path: Path, block: str, content: bytes | None, words: list[str]
) -> None:
    """422 that names the file and the place in it; a good entry beside it is not launched either."""
    recording = tmp_path / "bad.csv"
    if content is not None:
        recording.write_bytes(content)
    good = {
        "signal_type": "metrics",
        "name": "up",
        "rate": 1,
        "generator": {"type": "constant", "value": 1},
        "sink": {"type": "memory"},
    }
    answer = server.post(body(good, replaying(recording, block)))
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert "scenario[1]" in detail
    for word in (str(recording), *words):
        assert word in detail
    assert server.get("/scenarios").json()["scenarios"] == []


def test_a_file_above_the_limit_is_refused(server: LiveServer, tmp_path: Path) -> None:
    """A file of more bytes than a body may replay is 422, and so are several that are too large together."""
    recording = tmp_path / "large.csv"
    recording.write_text("t,a\n1,2\n2,3\n")
    os.truncate(recording, MAX_CSV_BYTES + 1)
    answer = server.post(body(replaying(recording)))
    assert answer.status_code == 422
    assert str(recording) in answer.json()["detail"]
    assert str(MAX_CSV_BYTES) in answer.json()["detail"]


def test_a_file_outside_the_roots_is_not_read(server: LiveServer) -> None:
    """422, whether the file exists or not."""
    for path in ("/etc/passwd", "/etc/no-such-file"):
        answer = server.post(body(replaying(Path(path))))
        assert answer.status_code == 422
        assert "outside the allowed roots" in answer.json()["detail"]


ENTRY = {
    "signal_type": "metrics",
    "name": "up",
    "rate": 1,
    "generator": {"type": "constant", "value": 1},
    "sink": {"type": "memory"},
}
LOG_ENTRY = {"signal_type": "logs", "name": "log", "rate": 1, "sink": {"type": "memory"}}
HISTOGRAM = {key: value for key, value in ENTRY.items() if key != "generator"} | {
    "signal_type": "histogram",
    "distribution": {"type": "uniform", "min": 0, "max": 1},
}


def logging(message: str, pools: dict[str, list[str]]) -> dict[str, Any]:
    return LOG_ENTRY | {
        "log_generator": {"type": "template", "templates": [{"message": message, "field_pools": pools}]}
    }


@pytest.mark.parametrize(
    ("entries", "status", "words"),
    [
        ([ENTRY] * 1000, 400, "at most 512"),
        ([ENTRY | {"labels": {f"l{n}": "" for n in range(60_000)}}], 400, "at most 128"),
        ([ENTRY | {"labels": {"l": "x" * 70_000}}], 400, "at most 65536"),
        ([ENTRY | {"dynamic_labels": [{"key": "l", "values": ["x"] * 100_001}]}], 400, "DynamicLabelStrategy"),
        ([logging("{a}" * 1000, {"a": ["x" * 1000]})], 400, "at most 65536"),
        ([logging("{a}", {f"a{n}": ["x"] for n in range(65)})], 400, "at most 64"),
        ([logging("{a}", {"a": ["x"] * 10_001})], 400, "at most 10000"),
        ([HISTOGRAM | {"observations_per_tick": 10_000_001}], 422, "at most 10000000"),
        ([HISTOGRAM | {"buckets": [n + 1 for n in range(1001)]}], 400, "at most 1000"),
    ],
    ids=["entries", "labels", "label", "values", "message", "pools", "pool", "observations", "buckets"],
)
def test_an_outsized_body_is_refused(
    server: LiveServer, entries: list[dict[str, Any]], status: int, words: str
) -> None:
    """Whatever would grow without bound has a documented one."""
    answer = server.post(body(*entries))
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert server.get("/scenarios").json()["scenarios"] == []


def test_yaml_that_multiplies_itself_is_refused(server: LiveServer) -> None:
    """Aliases of aliases stand for 9**11 nodes in a thousand characters."""
    levels = ["x0: &x0 [a,a,a,a,a,a,a,a,a]"]
    levels += [f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12)]
    answer = server.post_yaml("\n".join(["version: 2", *levels, "scenarios: []"]))
    assert answer.status_code == 400
    assert "repetition limit exceeded" in answer.json()["detail"]
