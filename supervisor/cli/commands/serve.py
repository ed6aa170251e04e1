"""`sondad serve`: the control plane."""

import argparse

from supervisor.cli.grammar import PassedOn


def _parser() -> argparse.ArgumentParser:
    from supervisor.flags.parser import build_parser

    return build_parser("sondad serve", with_relay=True)


def _serve(arguments: list[str]) -> int:
    from supervisor.cli.serve import serve

    return serve("sondad serve", arguments, with_relay=True)


COMMAND = PassedOn("serve", "Run the control plane: an HTTP API for scenarios.", _parser, _serve)
