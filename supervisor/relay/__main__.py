"""`python -m supervisor.relay`: the relay as its own process."""

import sys

from supervisor.relay.arguments import build_parser


def run() -> None:
    """Run the relay with the arguments of this process."""
    arguments = build_parser().parse_args()
    # Help and wrong arguments need nothing of the relay.
    from supervisor.relay.main import main

    sys.exit(main(arguments))


if __name__ == "__main__":
    run()
