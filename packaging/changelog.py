"""Prints CHANGELOG.md with a version and a date for what stands under [Unreleased], and an empty section above it.

    .venv/bin/python packaging/changelog.py VERSION DATE

`make release` calls it. With SONDAD_URL, where the project is published, the versions lead to what they have changed.
Source: keepachangelog.com 1.1.0.
"""

import os
import re
import sys
from itertools import pairwise
from pathlib import Path

UNRELEASED = "## [Unreleased]\n"


def main() -> None:
    version, date = sys.argv[1:]
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text()
    try:
        sys.stdout.write(released(text, version, date, os.environ.get("SONDAD_URL", "").rstrip("/")))
    except ValueError as exc:
        sys.exit(f"CHANGELOG.md: {exc}")


def released(text: str, version: str, date: str, home: str) -> str:
    """Return the changelog with the section of a new version.

    Args:
        text: the changelog.
        version: of the release.
        date: of the release, `YYYY-MM-DD`.
        home: address below which a forge has `compare` and `releases/tag`; empty leaves the links as they are.

    Raises:
        ValueError: nothing is unreleased.
    """
    before, found, rest = text.partition(UNRELEASED)
    news = re.split(r"(?m)^(?:## \[|\[[^\]]+\]: )", rest)[0]
    if not found or not news.strip():
        raise ValueError("nothing stands under [Unreleased]")
    text = f"{before}{UNRELEASED}\n## [{version}] - {date}\n{rest}"
    if not home:
        return text
    versions = re.findall(r"(?m)^## \[([^\]]+)\] - ", text)
    compared = [("Unreleased", f"compare/v{versions[0]}...HEAD")]
    compared += [(newer, f"compare/v{older}...v{newer}") for newer, older in pairwise(versions)]
    compared.append((versions[-1], f"releases/tag/v{versions[-1]}"))
    unlinked = re.sub(rf"(?m)^\[(?:Unreleased|{'|'.join(map(re.escape, versions))})\]: .*\n", "", text).rstrip()
    return f"{unlinked}\n\n" + "".join(f"[{name}]: {home}/{path}\n" for name, path in compared)


if __name__ == "__main__":
    main()
