"""Which packages are installed, and where; everything else about the project is in pyproject.toml.

In a wheel the packages lie below `sondad/packages`, see sondad/entry.py, and what is no package goes to `share` below
the environment. An editable installation leaves everything where it is.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from setuptools import find_packages, setup

OWN = ("common", "worker", "supervisor")
FOLDERS = {"systemd": "share/sondad/systemd", "examples": "share/sondad/examples", "docs": "share/sondad/docs"}
GENERATED = Path("build/share")


def data_files() -> Iterator[tuple[str, list[str]]]:
    """Yield directories below the environment and what goes there."""
    for source, target in [*FOLDERS.items(), (str(GENERATED), "share")]:
        folders = [Path(source), *(path for path in sorted(Path(source).rglob("*")) if path.is_dir())]
        for folder in folders:
            files = sorted(str(path) for path in folder.glob("*") if path.is_file())
            if files:
                yield str(Path(target, folder.relative_to(source))), files


def urls() -> dict[str, str]:
    """Return the addresses below the one that SONDAD_URL gives: only who publishes a release knows where."""
    home = os.environ.get("SONDAD_URL", "").rstrip("/")
    pages = {"Homepage": "", "Documentation": "/tree/main/docs", "Changelog": "/blob/main/CHANGELOG.md"}
    return {name: f"{home}{path}" for name, path in pages.items()} if home else {}


found = find_packages(include=[f"{name}*" for name in OWN])
is_editable = "editable_wheel" in sys.argv
prefix = "" if is_editable else "sondad.packages."
setup(
    packages=["sondad", *(prefix + name for name in found)],
    package_dir={} if is_editable else {prefix + name: name for name in OWN},
    package_data={prefix + name: ["py.typed"] for name in OWN}
    | {f"{prefix}supervisor": ["py.typed", "compiler/packs/builtin/*.yaml", "http/page/static/*"]},
    data_files=[] if is_editable else list(data_files()),
    project_urls=urls(),
)
