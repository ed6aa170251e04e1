"""Entry points of `sondad` and `sonda-server`.

What the installed scripts import is imported again by nothing, but stays empty of imports: arguments are read first,
then what the command needs is imported.
"""

import sys

USAGE = """\
usage: sondad COMMAND [OPTION]...

commands:
  serve    run the control plane: an HTTP API for scenarios
  relay    run the relay for check results

`sondad COMMAND --help` lists the options of a command.
"""


def main() -> None:
    """Run `sondad`."""
    command, *arguments = sys.argv[1:] or [""]
    match command:
        case "serve":
            from supervisor.cli.serve import serve

            sys.exit(serve("sondad serve", arguments, with_relay=True))
        case "relay":
            from supervisor.relay.main import main as relay

            sys.exit(relay(arguments))
        case "-V" | "--version":
            from importlib import metadata

            sys.stdout.write(f"sondad {metadata.version('sondad')}\n")
        case "-h" | "--help":
            sys.stdout.write(USAGE)
        case _:
            sys.stderr.write(f"sondad: unknown command {command!r}\n{USAGE}" if command else USAGE)
            sys.exit(2)


def compatible_main() -> None:
    """Run `sonda-server`: the control plane, flags directly."""
    from supervisor.cli.serve import serve

    sys.exit(serve("sonda-server", sys.argv[1:]))


if __name__ == "__main__":
    main()
