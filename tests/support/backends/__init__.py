"""Real servers of other projects, found on the machine or reported as missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD_SCRIPT = Path(__file__).with_name("build")
BUILD_SECS = 900


def backend(name: str) -> str:
    """Return the path of the program `name`; without it the test is skipped."""
    # Servers are where the path of users other than root does not lead.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; tests/prepare installs it as root")
    return found


def built(name: str) -> str:
    """Return the path of a server that `build` knows, built when it is not there; without Go the test is skipped."""
    if shutil.which("go") is None:
        pytest.skip(f"Go is not installed, which builds {name}; Debian has no package of it")
    script = subprocess.run([BUILD_SCRIPT, name], stdout=subprocess.PIPE, text=True, timeout=BUILD_SECS, check=True)
    return script.stdout.strip()
