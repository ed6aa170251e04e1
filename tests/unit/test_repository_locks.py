"""The locks: whole, by name, version and hash alone, and in step with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
BUILD = [Requirement(text) for text in PROJECT["dependency-groups"]["build"]]
TOOLS = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["dev"]]
EXTRAS = [
    Requirement(text)
    for extra, texts in PROJECT["project"]["optional-dependencies"].items()
    if extra != "dev"
    for text in texts
]
WANTED = {
    "runtime": RUNTIME + BUILD,
    "extras": RUNTIME + BUILD + EXTRAS,
    "dev": RUNTIME + BUILD + TOOLS,
    "lowest": RUNTIME + BUILD + TOOLS,
    "release": [Requirement(text) for text in PROJECT["dependency-groups"]["release"]],
}
every_lock = pytest.mark.parametrize("lock", WANTED)


def locked(lock: str) -> dict[str, list[Version]]:
    """Return name → versions; more than one where a marker says which Python gets which."""
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE):
        found.setdefault(name, []).append(Version(version))
    return found


@every_lock
def test_a_lock_names_versions_and_hashes_alone(lock: str) -> None:
    """Every requirement is followed by its hashes, and nothing else stands in the file: no address, no option."""
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    requirement = r"[a-z0-9-]+==[\w.]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"(?:{requirement})+", text)


@every_lock
def test_a_lock_is_in_step(lock: str) -> None:
    """What pyproject.toml asks for is locked, within its bounds."""
    versions = locked(lock)
    for requirement in WANTED[lock]:
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"run `make lock`: {requirement.name} is not locked"
        assert all(version in requirement.specifier for version in found), f"run `make lock`: {requirement}"


@pytest.mark.parametrize("requirement", RUNTIME, ids=str)
def test_the_lowest_versions_are_the_lower_bounds(requirement: Requirement) -> None:
    """What the tests run with as the lowest version is what pyproject.toml promises."""
    bound = next(Version(part.version) for part in requirement.specifier if part.operator == ">=")
    assert locked("lowest")[canonicalize_name(requirement.name)] == [bound]
