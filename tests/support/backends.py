"""Real servers of other projects, found on the machine or reported as missing."""

import os
import shutil

import pytest


def backend(name: str) -> str:
    """Return the path of the program `name`; without it the test is skipped, or fails where all are required."""
    found = shutil.which(name)
    if found:
        return found
    reason = f"{name} is not installed; tests/prepare installs it as root"
    if os.environ.get("SONDAD_REQUIRE_BACKENDS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
