"""A release from a clone: its section, files, hashes, bill of materials and tag; and what keeps one from being made."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.backends import backend

ROOT = Path(__file__).parents[2]
VERSION = "9.8.7"
HOME = "https://forge.example/sondad"
UNRELEASED = "## [Unreleased]\n"
NEWS = "- Something that is new."
LATER_NEWS = "- Something that is newer."


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this checkout with the environment of the tests, a version of its own and something new in it."""
    clone = tmp_path / "clone"
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
    git(clone, "config", "user.name", "nobody")
    git(clone, "config", "user.email", "nobody@localhost")
    (clone / ".venv").symlink_to(Path(sys.executable).parents[1])
    (clone / ".git/info/exclude").write_text(".venv\n")
    add_to_changelog(clone, NEWS)
    give_version(clone, VERSION)
    return clone


def git(where: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True).stdout.strip()


def release(clone: Path, *arguments: str, home: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SONDAD_URL": home}
    command = ["packaging/release", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=800, check=False)


def give_version(clone: Path, version: str) -> None:
    project = clone / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', project.read_text()))
    git(clone, "commit", "--quiet", "--all", "--message", f"Give it version {version}")


def add_to_changelog(clone: Path, line: str) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(UNRELEASED, f"{UNRELEASED}\n### Added\n\n{line}\n", 1))


def test_what_is_not_ready_is_not_released(clone: Path) -> None:
    """Uncommitted changes, a version that another commit has, nothing that is new: each is named."""
    assert release(clone, "--check").returncode == 0
    (clone / "left-over").touch()
    assert "not committed" in release(clone, "--check").stderr
    (clone / "left-over").unlink()
    git(clone, "tag", f"v{VERSION}", "HEAD~1")
    assert f"v{VERSION} is another commit" in release(clone, "--check").stderr
    git(clone, "tag", "--delete", f"v{VERSION}")
    git(clone, "tag", f"v{VERSION}")
    assert f"v{VERSION} has no section" in release(clone, "--changelog").stderr
    git(clone, "tag", "--delete", f"v{VERSION}")
    assert release(clone, "--changelog").returncode == 0
    give_version(clone, "9.9.0")
    assert "nothing stands under [Unreleased]" in release(clone, "--check").stderr


def test_what_is_new_gets_its_version_and_its_date(clone: Path) -> None:
    """In one commit of the changelog alone, once; each version leads to what it has changed."""
    before = (clone / "CHANGELOG.md").read_text()
    for _ in range(2):
        assert release(clone, "--changelog", home=HOME).returncode == 0
        assert git(clone, "log", "-1", "--format=%s", "--name-only").split("\n") == [
            f"Release {VERSION}",
            "",
            "CHANGELOG.md",
        ]
    give_version(clone, "9.9.0")
    add_to_changelog(clone, LATER_NEWS)
    git(clone, "commit", "--quiet", "--all", "--message", "Change something")
    assert release(clone, "--changelog", home=HOME).returncode == 0
    text = (clone / "CHANGELOG.md").read_text()
    unreleased, later, first = re.split(r"(?m)^## \[", text)[1:4]
    assert unreleased == "Unreleased]\n\n"
    assert re.fullmatch(rf"9\.9\.0\] - \d{{4}}-\d\d-\d\d\n\n### Added\n\n{LATER_NEWS}\n\n", later)
    assert re.match(rf"9\.8\.7\] - \d{{4}}-\d\d-\d\d\n\n### Added\n\n{NEWS}\n", first)
    assert before.partition(NEWS)[2].rstrip() in text
    links = re.findall(r"(?m)^\[(.+?)\]: (.+)$", text)
    assert links[:2] == [
        ("Unreleased", f"{HOME}/compare/v9.9.0...HEAD"),
        ("9.9.0", f"{HOME}/compare/v{VERSION}...v9.9.0"),
    ]
    assert links[-1][1].startswith(f"{HOME}/releases/tag/v")
    assert len(links) == len(re.findall(r"(?m)^## \[", text))


@pytest.mark.timeout(900)
def test_a_release_is_complete(clone: Path) -> None:
    """Every file has the version in its name and is hashed; the bill has every dependency; the commit is tagged."""
    done = release(clone)
    assert done.returncode == 0, done.stderr
    dist = clone / "dist"
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert {path.name for path in dist.iterdir()} == {*sums, "SHA256SUMS"}
    assert all(VERSION in name for name in sums)
    assert {Path(name).suffix for name in sums} == {".whl", ".gz", ".deb", ".json"}
    for name, digest in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest
    bill = json.loads((dist / f"sondad-{VERSION}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == ("sondad", VERSION)
    locked = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (clone / "locks/extras.txt").read_text(), re.MULTILINE)
    assert {(one["name"].lower(), one["version"]) for one in bill["components"]} == set(locked)
    assert git(clone, "rev-parse", f"v{VERSION}^{{commit}}") == git(clone, "rev-parse", "HEAD")
    found = subprocess.run([backend("lintian"), *dist.glob("*.deb")], capture_output=True, text=True, check=False)
    assert [line for line in found.stdout.splitlines() if line.startswith("E: ")] == []
