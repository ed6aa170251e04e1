"""Which build this is."""

from functools import cache
from pathlib import Path
from typing import Final

UNKNOWN: Final = "unknown"
_CHECKOUT: Final = Path(__file__).resolve().parents[2]


@cache
def version() -> str:
    """Return the installed version."""
    from importlib import metadata

    return metadata.version("sondad")


def git_sha(checkout: Path = _CHECKOUT) -> str:
    """Return the commit that `checkout` is at, `unknown` outside a git checkout.

    Reads git's files, so that no git is needed where the daemon runs.
    """
    directory = checkout / ".git"
    try:
        head = (directory / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        loose = directory / ref
        if loose.is_file():
            return loose.read_text().strip()
        packed = (directory / "packed-refs").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return UNKNOWN
    return next((line.partition(" ")[0] for line in packed if line.endswith(f" {ref}")), UNKNOWN)
