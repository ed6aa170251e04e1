"""The daemon with a configuration file, and its log as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.live_server import LiveServer


def test_the_daemon_runs_as_its_file_says(start_server: Callable[..., LiveServer], tmp_path: Path) -> None:
    """Key, limits and log from the file, the port from the flag; every log line is one JSON object."""
    file = tmp_path / "sondad.yaml"
    file.write_text("port: 1\napi_key: abc\nmax_scenarios: 1\nlog_format: json\nlog_level: info\n")
    file.chmod(0o640)
    server = start_server("--config", str(file))
    assert server.get("/scenarios").status_code == 401
    key = {"Authorization": "Bearer abc"}
    entry = {"signal_type": "metrics", "name": "a", "rate": 1, "generator": {"type": "constant", "value": 1}}
    entry["sink"] = {"type": "memory"}
    body = {"version": 2, "scenarios": [{"id": "a", **entry}]}
    assert server.post(body, headers=key).status_code == 201
    assert server.post(body, headers=key).status_code == 429
    assert server.stop() == 0
    records = [json.loads(line) for line in server.log().splitlines()]
    assert {record["level"] for record in records} <= {"INFO", "WARN"}
    assert "sonda-server listening" in {record["message"] for record in records}
    (launched,) = (record for record in records if record["message"] == "scenario launched")
    assert launched["fields"]["name"] == "a"
    assert launched["target"].startswith("sonda_server::")
