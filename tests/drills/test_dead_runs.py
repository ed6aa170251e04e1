"""What a killed run of the tests leaves of its container, the next run removes."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.systemd.machine import CANNOT_BOOT, remove_what_dead_runs_left

ROOT = Path(__file__).parents[2]
DYING = """
import os, signal
from tests.support.systemd.machine import CannotBootError, Machine
try:
    print(Machine().root, flush=True)
except CannotBootError as error:
    raise SystemExit(str(error))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_cleared_away() -> None:
    """Its container ends, nothing stays mounted, and its directory is gone."""
    died = subprocess.run([sys.executable, "-c", DYING], cwd=ROOT, capture_output=True, text=True, check=False)
    if not died.stdout:
        pytest.skip(f"{CANNOT_BOOT}: {died.stderr}")
    root = Path(died.stdout.strip())
    containers = [
        one for one in psutil.process_iter(["cmdline"]) if f"--directory={root}" in (one.info["cmdline"] or ())
    ]
    assert os.path.ismount(root)
    assert len(containers) == 1
    remove_what_dead_runs_left()
    assert not containers[0].is_running()
    assert not os.path.ismount(root)
    assert not root.parent.exists()
