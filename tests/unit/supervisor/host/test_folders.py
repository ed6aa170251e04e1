"""Which folders nobody else can change, on a real file system."""

import os
from pathlib import Path

import pytest

from supervisor.host.folders import foreign_hand


def test_folders_of_ours_are_in_our_hands(tmp_path: Path) -> None:
    """A folder of ours under `/tmp`, also by a link of ours and by `..`."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/../a")
    assert foreign_hand(str(folder)) is None
    assert foreign_hand(f"{tmp_path}/link/b") is None
    assert foreign_hand(f"{folder}/../b") is None
    assert foreign_hand("/") is None


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_the_folder_itself_must_not_be_writable_by_others(tmp_path: Path, mode: int) -> None:
    """Not even with the sticky bit: whoever owns a socket could put something else in its place."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    assert foreign_hand(str(folder)) == f"{folder} is writable by others (mode {mode:04o})"


@pytest.mark.parametrize(("mode", "fine"), [(0o777, False), (0o770, False), (0o1777, True)])
def test_a_folder_on_the_way_may_be_writable_when_it_is_sticky(tmp_path: Path, mode: int, fine: bool) -> None:
    """Others may create there, but not replace what is ours."""
    folder = tmp_path / "shared" / "ours"
    folder.mkdir(parents=True)
    folder.parent.chmod(mode)
    assert (foreign_hand(str(folder)) is None) is fine


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: folders of another user")
@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_another_user_is_in_foreign_hands(tmp_path: Path, link: bool) -> None:
    """Also when only a link on the way lies there, wherever it leads."""
    theirs = tmp_path / "theirs"
    (theirs / "sub").mkdir(parents=True)
    os.chown(theirs, 2105, 2105)
    (theirs / "link").symlink_to("/")
    (tmp_path / "start").symlink_to(theirs / "link")
    asked = tmp_path / "start" if link else theirs / "sub"
    fault = foreign_hand(str(asked))
    assert fault is not None
    assert fault.startswith(f"{theirs} belongs to uid 2105")


def test_links_in_a_circle_and_missing_folders(tmp_path: Path) -> None:
    """A circle is a fault, a missing folder the system's own error."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "circle" in str(foreign_hand(str(tmp_path / "a")))
    with pytest.raises(FileNotFoundError):
        foreign_hand(str(tmp_path / "nothing"))
