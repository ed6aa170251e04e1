"""Builds the wheel and the source archive in dist/: the same bytes from the same commit, whenever and wherever.

    .venv/bin/python packaging/dist.py [DIRECTORY]

`make dist` calls it. SONDAD_URL is the address that the metadata lead to. Source: reproducible-builds.org,
"SOURCE_DATE_EPOCH".
"""

import fcntl
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from setuptools import build_meta

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "dist"


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    target.mkdir(parents=True, exist_ok=True)
    os.environ["SOURCE_DATE_EPOCH"] = stamp = _committed()
    os.umask(0o022)
    STAGE.parent.mkdir(exist_ok=True)
    # One at a time: all builds of a checkout have one stage. The lock ends with this process.
    fcntl.flock(os.open(STAGE.parent / "dist.lock", os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)
    _stage()
    share = [sys.executable, "packaging/share.py", str(STAGE / "build" / "share")]
    subprocess.run(share, cwd=ROOT, check=True)
    for path in (STAGE, *STAGE.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        os.utime(path, (int(stamp), int(stamp)))
    os.chdir(STAGE)
    # The backend tells about every file.
    with (STAGE.parent / "dist.log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        archive = target / build_meta.build_sdist(str(target))
        wheel = target / build_meta.build_wheel(str(target))
    _normalise(archive, int(stamp))
    print(archive, wheel, sep="\n")


def _committed() -> str:
    """Return when the commit was made, in unix seconds, or what the environment says."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    command = ["git", "log", "-1", "--format=%ct"]
    return given or subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _stage() -> None:
    """Copy what belongs to the project, and nothing that lies about."""
    shutil.rmtree(STAGE, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (STAGE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, STAGE / name)


def _normalise(archive: Path, stamp: int) -> None:
    """Pack a source archive again: members in order, of one instant, of nobody."""
    packed = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            content = old.extractfile(member) if member.isfile() else None
            member.mtime, member.uid, member.gid, member.uname, member.gname = stamp, 0, 0, "", ""
            member.pax_headers = {}
            new.addfile(member, content)
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", mtime=stamp, fileobj=raw) as file:
        file.write(packed.getvalue())


if __name__ == "__main__":
    main()
