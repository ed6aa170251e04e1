"""Writes the man pages and the completion scripts where their readers look below a directory such as /usr/share.

python packaging/share.py DIRECTORY
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from supervisor.cli.shells.man import pages  # noqa: E402 - of this tree
from supervisor.cli.shells.scripts import completion_script  # noqa: E402 - as above

COMPLETIONS = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}


def main() -> None:
    share = Path(sys.argv[1])
    for name, page in pages(ROOT / "docs").items():
        write(share / f"man/man{name[-1]}" / name, page)
    for program in ("sonda", "sondad"):
        for shell, place in COMPLETIONS.items():
            write(share / place.format(program), completion_script(program, shell))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
