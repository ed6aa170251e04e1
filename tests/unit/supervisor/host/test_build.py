"""Which commit the daemon was started from, out of git's own files."""

from pathlib import Path

from supervisor.host.build import git_sha, version

SHA = "0123456789abcdef0123456789abcdef01234567"


def checkout(root: Path, head: str, **files: str) -> Path:
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text(head)
    for name, text in files.items():
        (root / ".git" / name.replace("__", "/").replace("_", "-")).write_text(text)
    return root


def test_the_commit_of_a_branch(tmp_path: Path) -> None:
    """Also when git has packed the reference."""
    loose = checkout(tmp_path / "loose", "ref: refs/heads/main\n", refs__heads__main=f"{SHA}\n")
    packed = checkout(
        tmp_path / "packed", "ref: refs/heads/main\n", packed_refs=f"# pack-refs\n{SHA} refs/heads/main\nff refs/x\n"
    )
    assert git_sha(loose) == git_sha(packed) == SHA


def test_the_commit_of_a_detached_head(tmp_path: Path) -> None:
    """HEAD itself names it."""
    assert git_sha(checkout(tmp_path, f"{SHA}\n")) == SHA


def test_outside_a_checkout_it_is_unknown(tmp_path: Path) -> None:
    """No git files, or a branch without a commit."""
    assert git_sha(tmp_path) == "unknown"
    assert git_sha(checkout(tmp_path / "new", "ref: refs/heads/main\n")) == "unknown"
    assert git_sha(checkout(tmp_path / "other", "ref: refs/heads/main\n", packed_refs="x\n")) == "unknown"


def test_the_version_is_the_installed_one() -> None:
    """Three numbers."""
    assert len(version().split(".")) == 3
