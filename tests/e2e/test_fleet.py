"""`sondad fleet` on this machine; tests/drills has its schedulers, workers and daemons one by one."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.digest import add_digests, digest_text, label_hash, mixed_series, record_sums, text_hash, value_bits
from tests.support.transcripts import run

SCENARIO = """\
version: 2
defaults: {rate: 200, start_time: "2026-01-01T00:00:00Z"}
scenarios:
  - {signal_type: metrics, name: many, generator: {type: sine, amplitude: 5, period_secs: 3, offset: 2},
     dynamic_labels: [{key: host, prefix: h, cardinality: 5}]}
  - {signal_type: metrics, name: one, generator: {type: sawtooth, min: 0, max: 9, period_secs: 2}}
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_fleet_on_this_machine_makes_what_one_process_makes(tmp_path: Path) -> None:
    """Line for line, each once, and as many as it says; verdicts and report are those of a run, and hosts."""
    write(tmp_path / "file.yaml", SCENARIO)
    flags = ["--expect", "errors==0", "--expect", "lateness_p99<1h", "--digest", "--report", "report.json"]
    done = run(["sondad", "fleet", "run", "brief.yaml", "--local", "2", *flags], _with_duration(tmp_path, "2s"), 200)
    assert done.returncode == 0, done.stderr
    whole = run(["sondad", "-q", "run", "file.yaml", "--duration", "4s"], tmp_path, 200).stdout.splitlines()
    lines = done.stdout.splitlines()
    assert len(set(lines)) == len(lines)
    assert set(lines) <= set(whole)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["command"], report["passed"]) == ("fleet run", True)
    assert sum(entry["events"] for entry in report["entries"]) == len(lines)
    assert add_digests(entry["digest"] for entry in report["entries"]) == _digest(lines)
    late = [events for entry in report["entries"] for _, events in entry["lateness_buckets"]]
    assert sum(late) == len(lines)
    assert [(host["segment"], host["state"]) for host in report["hosts"]] == [("1/2", "over"), ("2/2", "over")]
    assert sum(host["events"] for host in report["hosts"]) == len(lines)
    assert done.stderr.count("[fleet] segment ") == 2
    assert "  PASS errors==0  (errors is 0)\n" in done.stderr
    assert not list(tmp_path.glob("sondad-fleet-*"))


def _digest(lines: list[str]) -> str:
    series, stamps_ns, values = [], [], []
    for line in lines:
        name, _, label = line.split()[0].partition("{")
        key, _, value = label.removesuffix("}").partition("=")
        series.append((text_hash(name.encode()) + (label_hash(key, value.strip('"')) if key else 0)) % 2**64)
        values.append(float(line.split()[1]))
        stamps_ns.append(int(line.split()[2]) * 1_000_000)
    begins = mixed_series(np.array(series, np.uint64)[:, np.newaxis])
    sums = record_sums(begins, np.array(stamps_ns), value_bits(np.array(values))[:, np.newaxis])
    return digest_text(sums)


def _with_duration(tmp_path: Path, duration: str) -> Path:
    write(tmp_path / "brief.yaml", SCENARIO.replace("defaults: {", f"defaults: {{duration: {duration}, "))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["scheduler", "--host", "0.0.0.0"], 2, "0.0.0.0 is not loopback"),
        (["worker", "--scheduler", "tcp://127.0.0.1:9", "--host", "10.0.0.9"], 2, "10.0.0.9 is not loopback"),
        (["worker", "--scheduler", "tcp://10.0.0.9:8786"], 1, "10.0.0.9 is not loopback"),
        (["status", "--scheduler", "tcp://10.0.0.9:8786"], 1, "10.0.0.9 is not loopback"),
        (["status", "--scheduler", "tls://10.0.0.9:8786"], 1, "needs TLS: --tls-ca, --tls-cert and --tls-key"),
        (["status", "--scheduler", "10.0.0.9:8786"], 1, "expected tls://HOST:PORT or tcp://HOST:PORT"),
        (["status", "--scheduler-file", "none.json"], 1, "none.json: No such file or directory"),
        (["status"], 1, "no scheduler is named"),
        (["status", "--scheduler", "tcp://127.0.0.1:9"], 1, "no scheduler at tcp://127.0.0.1:9: Connection refused"),
        (["scheduler", "--tls-ca", "a.pem"], 2, "--tls-cert <FILE>"),
        (["scheduler", "--tls-ca", "a.pem", "--tls-cert", "b", "--tls-key", "c"], 2, "--tls-ca: a.pem: No such file"),
        (["stop", "--scheduler", "tcp://127.0.0.1:9"], 2, "expected either NAME|ID or --all"),
        (["run", "file.yaml", "--local", "0"], 2, "expected a whole number from 1 to 65536"),
        (["run", "file.yaml", "--local", "2", "--hosts", "2"], 2, "cannot be used with '--hosts <N>'"),
        (["dance"], 2, "unrecognized subcommand 'dance'"),
        ([], 2, "Usage: sondad fleet"),
    ],
)
def test_what_cannot_be_is_refused_with_words(words: list[str], code: int, told: str, tmp_path: Path) -> None:
    """A wrong command line is 2, as is what a service manager need not try again; anything else 1."""
    done = run(["sondad", "fleet", *words], tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
