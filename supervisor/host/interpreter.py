"""How a further process of ours is started: our own modules, whatever stands in the working directory."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""Where this process has its own packages from."""

_OWN: Final = ("common", "worker", "supervisor")


def command(module: str, call: str) -> list[str]:
    """Return the arguments that start Python and call a function of ours; further ones become `sys.argv[1:]`.

    The interpreter gets a safe path: neither the working directory nor PYTHONPATH entries of it come before our own
    packages. Source: Python's command line, "-P".

    Args:
        module: dotted name of the module.
        call: what to evaluate of it, such as `main()`.
    """
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module} as ours; ours.{call}"
    flags = ["-P", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", code]


def require_own_packages() -> None:
    """Import from the working directory no more, and see that our packages are ours.

    Raises:
        SystemExit: another package has the name of one of ours and would be imported instead; says which, code 2.
    """
    first, *others = sys.path
    # `python -m` puts the working directory first.
    is_working = Path(first or ".").resolve() == Path.cwd()
    sys.path[:] = [*([] if is_working and Path.cwd() != ROOT else [first]), *(entry for entry in others if entry)]
    for name in _OWN:
        spec = find_spec(name)
        origin = "nowhere" if spec is None or spec.origin is None else spec.origin
        if not Path(origin).resolve().is_relative_to(ROOT):
            sys.stderr.write(f"Error: the package '{name}' of {origin} hides ours; take it out of PYTHONPATH\n")
            sys.exit(2)
