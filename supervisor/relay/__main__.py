"""`python -m supervisor.relay`: the relay as its own process."""

import sys

from supervisor.relay.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
