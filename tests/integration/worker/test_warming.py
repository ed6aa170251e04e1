"""The short run in the template, before anything is forked from it."""

import subprocess
import sys

SHOWN = """
import os, threading
import worker.preload
from worker.runner import Runner
from worker.ticks.block import TickBlock
for function in (Runner._fire, Runner._emit, TickBlock.cut):
    code = function.__code__
    print(code._co_code_adaptive != code.co_code)
print(threading.active_count(), sorted(int(name) for name in os.listdir("/proc/self/fd"))[3:-1])
"""


def test_workers_are_forked_warm_and_with_nothing_open() -> None:
    """The code of a firing is adapted to its use already; no descriptor and no thread is left of the run."""
    shown = subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["True", "True", "True", "1 []"]
    assert shown.stderr == ""
