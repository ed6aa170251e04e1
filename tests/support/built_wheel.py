"""A wheel and a source archive of this checkout, an environment of its own with the wheel, and its daemon."""

import json
import os
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPENDENCIES = next(path for path in sys.path if path.endswith("site-packages"))


def build(target: Path, **more: str) -> dict[str, Path]:
    """Build both into a directory; their paths by the ending."""
    subprocess.run(
        [sys.executable, "packaging/dist.py", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | more,
    )
    return {path.suffix: path for path in target.iterdir()}


def pip_of(environment: Path) -> list[str]:
    """Return the words of pip for an environment."""
    return [sys.executable, "-m", "pip", "--python", str(environment / "python"), "--disable-pip-version-check"]


def installed(wheel: Path, directory: Path) -> Path:
    """Make an environment with the wheel, without a registry; return its bin."""
    venv.create(directory, with_pip=False, symlinks=True)
    (site,) = (directory / "lib").glob("python*/site-packages")
    # What the wheel requires is had from the environment of the tests.
    (site / "dependencies.pth").write_text(f"{DEPENDENCIES}\n")
    environment = directory / "bin"
    subprocess.run(
        [*pip_of(environment), "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", str(wheel)],
        check=True,
        timeout=120,
    )
    return environment


def run(environment: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of an environment, with nothing of this checkout in reach."""
    return subprocess.run(
        [str(environment / command[0]), *command[1:]],
        cwd=environment,
        env={"PATH": f"{environment}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@contextmanager
def serving(environment: Path) -> Iterator[str]:
    """Serve with the daemon of an environment and give its address; it is healthy, and ends well when it is told to."""
    with subprocess.Popen(
        [environment / "sondad", "serve", "--port", "0"], stdout=subprocess.PIPE, cwd=environment, env={}
    ) as daemon:
        try:
            assert daemon.stdout is not None
            address = f"http://127.0.0.1:{json.loads(daemon.stdout.readline())['sonda_server']['port']}"
            with urllib.request.urlopen(f"{address}/health", timeout=30) as answer:
                assert answer.status == 200
            yield address
        finally:
            daemon.terminate()
        assert daemon.wait(30) == 0
