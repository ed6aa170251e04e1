"""The wheel and the source archive: the same twice, and at home beside any other package."""

import hashlib
import json
import os
import subprocess
import urllib.request
from pathlib import Path

from tests.support.built_wheel import build, installed, pip_of, run, serving

SUPERVISORD = "supervisor==4.3.0"


def digests(built: dict[str, Path]) -> list[str]:
    return [hashlib.sha256(built[ending].read_bytes()).hexdigest() for ending in (".whl", ".gz")]


def test_the_same_commit_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the umask, the time zone and the order of the directory are."""
    stamp = {"SOURCE_DATE_EPOCH": "1700000000"}
    first = build(tmp_path / "first", TZ="UTC", **stamp)
    before = os.umask(0o077)
    try:
        second = build(tmp_path / "second", TZ="Asia/Tokyo", LC_ALL="C", **stamp)
    finally:
        os.umask(before)
    assert digests(first) == digests(second)


def test_another_package_of_the_same_name_lives_beside_it(tmp_path: Path) -> None:
    """Supervisor of the registry has a package called as one of ours: both work, the daemon with its workers too."""
    environment = installed(build(tmp_path / "dist")[".whl"], tmp_path / "env")
    done = subprocess.run(
        [*pip_of(environment), "install", "--quiet", "--ignore-installed", SUPERVISORD],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert run(environment, "supervisord", "--version").stdout == "4.3.0\n"
    assert "ProcessGroup" in run(environment, "python", "-c", "import supervisor.process as p; print(dir(p))").stdout
    with serving(environment) as address:
        with urllib.request.urlopen(f"{address}/examples", timeout=30) as answer:
            assert "gaps" in {shown["name"] for shown in json.load(answer)["examples"]}
        example = Path(run(environment, "sondad", "files", "examples").stdout.strip()) / "gaps.yaml"
        posted = run(environment, "sondad", "post", str(example), "--url", address)
        assert posted.returncode == 0, posted.stderr
