"""Files opened beneath their roots, whatever happens to the directories meanwhile."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.files import ConfinedError, open_parent
from common.plan import FileAccess

WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def put(path: str, access: FileAccess, content: bytes = b"x") -> None:
    descriptor = open_parent(path, access, writes=True).open(WRITE)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read(path: str, access: FileAccess) -> bytes:
    descriptor = open_parent(path, access, writes=False).open(os.O_RDONLY)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


@pytest.fixture
def access(root: Path) -> FileAccess:
    return FileAccess(roots=(str(root),))


def test_directories_are_made_and_links_within_the_root_followed(root: Path, access: FileAccess) -> None:
    """As without a root."""
    put(f"{root}/a/b/c", access)
    (root / "link").symlink_to("a")
    put(f"{root}/link/b/c", access, b"y")
    (root / "file").symlink_to("a/b/c")
    assert read(f"{root}/file", access) == b"xy"
    assert read(f"{root}/a/../file", access) == b"xy"


def test_no_root_allows_every_place(root: Path) -> None:
    """Except one that is protected."""
    put(f"{root}/a/b", FileAccess())
    protected = FileAccess(protected=(f"{root}/a",))
    assert read(f"{root}/a/b", protected) == b"x"
    put(f"{root}/c", protected)
    with pytest.raises(ConfinedError, match="catalog"):
        put(f"{root}/a/d", protected)
    (root / "link").symlink_to("a")
    with pytest.raises(ConfinedError, match="catalog"):
        put(f"{root}/link/d", protected)


@pytest.mark.parametrize("path", ["../outside/x", "out/x", "file", "../x", "/etc/passwd"])
def test_what_leads_outside_is_refused(root: Path, access: FileAccess, path: str) -> None:
    """By dots, by a link for a directory, by a link for the file."""
    (root / "out").symlink_to("../outside")
    (root / "file").symlink_to("../outside/y")
    for opening in (put, read):
        with pytest.raises(ConfinedError, match="outside the allowed roots"):
            opening(os.path.join(root, path), access)
    assert list((root.parent / "outside").iterdir()) == []


def test_a_circle_of_links_is_no_file(root: Path, access: FileAccess) -> None:
    """It is refused by the operating system."""
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"."):
        put(f"{root}/a", access)


@pytest.mark.parametrize("worst_moment", ["realpath", "open"])
def test_swaps_of_a_directory_for_a_link(
    root: Path, access: FileAccess, monkeypatch: pytest.MonkeyPatch, worst_moment: str
) -> None:
    """Each after the look at the path, or on the way: not one byte outside, and none read from there."""
    outside = root.parent / "outside"
    (outside / "sub").mkdir()
    (outside / "sub" / "secret").write_bytes(b"secret")
    (root / "dir" / "sub").mkdir(parents=True)
    module = os.path if worst_moment == "realpath" else os
    original = getattr(module, worst_moment)

    def swap_behind(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if not (root / "dir").is_symlink():
            (root / "dir").rename(root / "kept")
            (root / "dir").symlink_to(outside)
        return result

    for number in range(20):
        with monkeypatch.context() as patched:
            patched.setattr(module, worst_moment, swap_behind)
            with suppress(OSError):
                if number % 2:
                    put(f"{root}/dir/sub/file", access)
                else:
                    assert read(f"{root}/dir/sub/secret", access) != b"secret"
        (root / "dir").unlink()
        (root / "kept").rename(root / "dir")
    assert sorted(path.name for path in outside.rglob("*")) == ["secret", "sub"]
    put(f"{root}/dir/sub/file", access)
