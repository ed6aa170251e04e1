"""The commands as they are installed: `sondad`, `sonda` and `sonda-server`.

The packages of the program have common names, and other programs have packages of the same names. So they are installed
below this directory, where no other program finds them, and only these commands put it first on their path. In a clone
they lie beside this directory.

Source: docs/operating.md, "Installing".
"""

import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent


def main() -> None:
    """Run `sondad`."""
    find_packages()
    from supervisor.__main__ import main

    main()


def scenario_main() -> None:
    """Run `sonda`."""
    find_packages()
    from supervisor.__main__ import scenario_main

    scenario_main()


def compatible_main() -> None:
    """Run `sonda-server`."""
    find_packages()
    from supervisor.__main__ import compatible_main

    compatible_main()


def find_packages() -> None:
    """Let the packages of the program be imported by their names; may be called again."""
    installed = _HERE / "packages"
    folder = str(installed if installed.is_dir() else _HERE.parent)
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
