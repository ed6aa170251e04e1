"""`sondad relay`: the check relay."""

import argparse

from supervisor.cli.grammar import PassedOn


def _parser() -> argparse.ArgumentParser:
    from supervisor.relay.arguments import build_parser

    return build_parser()


def _relay(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    from supervisor.relay.main import main

    return main(given)


COMMAND = PassedOn("relay", "Run the relay for check results.", _parser, _relay)
