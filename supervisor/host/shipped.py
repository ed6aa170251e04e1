"""Where an installation keeps what is no program: below the environment, or in the clone that is run from."""

import sys
from pathlib import Path

from supervisor.host.interpreter import ROOT


def shipped_places() -> dict[str, Path]:
    """Return what there is and its directory."""
    share = Path(sys.prefix) / "share"
    ours = share / "sondad" if (share / "sondad").is_dir() else ROOT
    return {
        "units": ours / "systemd",
        "examples": ours / "examples",
        "docs": ours / "docs",
        "man": share / "man",
    }
