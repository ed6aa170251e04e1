"""An installation without a network, from a folder of wheels, as docs/operating.md shows it."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.built_wheel import ROOT, build, serving

WITHOUT_NETWORK = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


def test_a_folder_of_wheels_is_enough(tmp_path: Path) -> None:
    """What was downloaded on one machine is installed on another that reaches none, and serves."""
    if subprocess.run([*WITHOUT_NETWORK, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces for this user")
    wheel = build(tmp_path / "dist")[".whl"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [
            *pip,
            "download",
            "--quiet",
            "--dest",
            "wheels",
            "--require-hashes",
            "--requirement",
            ROOT / "locks/runtime.txt",
        ],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    wheel.rename(tmp_path / "wheels" / wheel.name)
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    subprocess.run(
        [
            *(*WITHOUT_NETWORK, *pip, "--python", tmp_path / "env/bin/python", "install", "--quiet", "--no-index"),
            *("--find-links", "wheels", "sondad"),
        ],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    with serving(tmp_path / "env/bin"):
        pass
