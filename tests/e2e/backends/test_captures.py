"""A capture from a real Prometheus: what it stored is what the written scenario plays."""

import csv
import io
from pathlib import Path

from tests.support.backends.prometheus import Prometheus
from tests.support.last_sample import LastSample
from tests.support.polling import wait_until
from tests.support.transcripts import run


def test_an_incident_is_captured_and_replayed(tmp_path: Path) -> None:
    """Samples of the store, verbatim, in the CSV file; the scenario emits the same values with the same labels."""
    written = tmp_path / "level.prom"
    written.write_text('level{team="ours"} 41.25 1\n')
    level = LastSample(written)
    try:
        target = {"job_name": "level", "static_configs": [{"targets": [level.address]}]}
        server = Prometheus(tmp_path, target)
        try:
            wait_until(lambda: len(server.query("count_over_time(level[1m]) >= 3")) == 1, "samples in the store", 60)
            command = ["sonda", "new", "--from-prometheus", f"{server.url}/", "--query", 'level{team="ours"}']
            window = ["--range", "2s", "--step", "1s", "--out", "level.csv", "-o", "level.yaml"]
            done = run([*command, *window], tmp_path)
        finally:
            server.stop()
    finally:
        level.close()
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("captured 1 series over 3 points to level.csv ")
    heading, *rows = csv.reader(io.StringIO((tmp_path / "level.csv").read_text()))
    assert 'team="ours"' in heading[1]
    assert {row[1] for row in rows} == {"41.25"}
    ran = run(["sonda", "-q", "run", "level.yaml"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    lines = [line.rsplit(" ", 2) for line in ran.stdout.splitlines()]
    assert [value for _, value, _ in lines] == ["41.25"] * 3
    assert all(name.startswith("level{") and 'team="ours"' in name for name, _, _ in lines)
