"""The reference of the relay's configuration file as a page, made of the annotations that its reader follows.

Run as `python -m supervisor.relay.config.reference`.
Source: docs/relay.md.
"""

import sys
from typing import Final

from supervisor.reading.reference import Page
from supervisor.relay.config.language import ConfigFile

_HEAD: Final = """\
# Relay configuration reference

Every field of the relay's configuration file with its type, its bounds and its default, generated from the program:
`python -m supervisor.relay.config.reference > docs/relay-reference.md`. What the fields mean is in [relay](relay.md);
[`examples/relay.yaml`](../examples/relay.yaml) shows every part. `sondad relay --check-config --config FILE` checks a
file.

A duration is a number with `ms`, `s`, `m`, `h` or `d`, or bare seconds; a size is a number of bytes, also with `KiB`,
`MiB` or `GiB`. Unknown keys are refused. The bounds of a client's own numbers are checked for that client alone.
"""


def reference() -> str:
    """Return the page, in Markdown."""
    page = Page(1)
    page.add("Configuration file", ConfigFile)
    return "\n".join([_HEAD, *page.sections])


if __name__ == "__main__":
    sys.stdout.write(reference())
