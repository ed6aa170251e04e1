"""How a process of ours begins: our own modules, whatever stands in the working directory, and quickly."""

import gc
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""Where this process has its own packages from."""

_OWN: Final = ("common", "worker", "supervisor")

_MORE_THAN_IMPORTED: Final = 200_000
"""More containers than all modules of a process make."""

_USUAL_CYCLES: Final = 10_000


def command(module: str, call: str) -> list[str]:
    """Return the arguments that start Python and call a function of ours; further ones become `sys.argv[1:]`.

    The interpreter gets a safe path: neither the working directory nor PYTHONPATH entries of it come before our own
    packages. Source: Python's command line, "-P".

    Args:
        module: dotted name of the module.
        call: what to evaluate of it, such as `main()`.
    """
    quick = f"gc.set_threshold({_MORE_THAN_IMPORTED})"
    code = f"import gc, sys; {quick}; sys.path.insert(0, {str(ROOT)!r}); import {module} as ours; ours.{call}"
    flags = ["-P", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", code]


def import_without_collections() -> None:
    """Put off the search for cycles while modules are imported.

    They keep what they make: looking through it again and again is an eighth of the start of a daemon.
    """
    gc.set_threshold(_MORE_THAN_IMPORTED)


def collect_from_now_on() -> None:
    """Search for cycles among what is made after this call only; for processes that stay."""
    gc.freeze()
    gc.set_threshold(_USUAL_CYCLES)


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
