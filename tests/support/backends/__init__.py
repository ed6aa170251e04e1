"""Real servers of other projects, found on the machine or reported as missing."""

import os
import shutil

import pytest


def backend(name: str) -> str:
    """Return the path of the program `name`; without it the test is skipped."""
    # Servers are where the path of users other than root does not lead.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; tests/prepare installs it as root")
    return found
