"""The flags of `sondad relay`. Imports nothing of the relay, so that they are read first.

Source: docs/relay.md, "As a service".
"""

import argparse


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `sondad relay`."""
    parser = argparse.ArgumentParser(
        prog="sondad relay", description="Accept check results over Unix sockets, keep them on disk and forward them."
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the relay's configuration (YAML)")
    parser.add_argument(
        "--check-config", action="store_true", help="print every fault of FILE and what it says, and exit"
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="form of log lines")
    return parser
