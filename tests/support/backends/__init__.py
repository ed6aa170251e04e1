"""Real servers of other projects, found on the machine or reported as missing."""

import shutil

import pytest


def backend(name: str) -> str:
    """Return the path of the program `name`; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; tests/prepare installs it as root")
    return found
