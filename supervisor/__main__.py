"""Entry points of `sondad`, `sonda` and `sonda-server`.

What the installed scripts import is imported again by nothing, but stays empty of imports: arguments are read first,
then what the command needs is imported.
"""

import sys


def main() -> None:
    """Run `sondad`: every command."""
    _begin()
    from supervisor.cli.program import run

    sys.exit(run("sondad", sys.argv[1:]))


def scenario_main() -> None:
    """Run `sonda`: the commands that need no daemon."""
    _begin()
    from supervisor.cli.program import run

    sys.exit(run("sonda", sys.argv[1:]))


def compatible_main() -> None:
    """Run `sonda-server`: the control plane, flags directly."""
    _begin()
    from supervisor.cli.serve import serve

    sys.exit(serve("sonda-server", sys.argv[1:]))


def _begin() -> None:
    # Before anything of ours is imported by its name.
    from supervisor.host.interpreter import import_without_collections, require_own_packages

    import_without_collections()
    require_own_packages()


if __name__ == "__main__":
    main()
