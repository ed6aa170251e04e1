"""`python -m supervisor.relay`: the relay as its own process."""

import sys

from supervisor.relay.main import main


def run() -> None:
    """Run the relay with the arguments of this process."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
