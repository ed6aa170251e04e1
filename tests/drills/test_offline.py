"""An installation without a network, from a folder of wheels, as docs/operating.md shows it."""

import json
import os
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_NETWORK = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


def test_a_folder_of_wheels_is_enough(tmp_path: Path) -> None:
    """What was downloaded on one machine is installed on another that reaches none, and serves."""
    if subprocess.run([*WITHOUT_NETWORK, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces for this user")
    subprocess.run([sys.executable, "packaging/dist.py", str(tmp_path / "dist")], cwd=ROOT, check=True, timeout=120)
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
    (wheel,) = (tmp_path / "dist").glob("*.whl")
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
    with subprocess.Popen(
        [tmp_path / "env/bin/sondad", "serve", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["sonda_server"]["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
                assert answer.status == 200
        finally:
            server.terminate()
        assert server.wait(30) == 0
