"""Dry runs where something is not installed."""

import importlib.util
from pathlib import Path

import pytest

from supervisor.cli.failures import CommandError
from supervisor.cli.running.dry_run import dry_run_text
from supervisor.cli.running.source import load

SCENARIO = """\
version: 2
kind: runnable
scenarios:
  - signal_type: metrics
    name: up
    rate: 1
    duration: 1s
    generator: {type: constant, value: 1}
    encoder: {type: remote_write}
    sink: {type: remote_write, url: "http://localhost:1/"}
"""


def test_a_sink_that_is_not_installed_passes_a_dry_run_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown as disabled; a run names the type and what is missing."""
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    found = importlib.util.find_spec
    for module in ("supervisor.cli.running.words", "supervisor.compiler.planning.sinks"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name == "cramjam" else found(name))
    assert "    sink:           remote_write (disabled)\n" in dry_run_text(load(str(path), None, is_dry=True))
    with pytest.raises(CommandError, match=r"remote_write.*remote-write"):
        load(str(path), None)
