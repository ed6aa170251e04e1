"""Two network namespaces with a cable: hosts that reach each other's address, but not each other's loopback.

Source: ip-netns(8), veth(4).
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

CANNOT_SEPARATE = "no network namespace can be made"


@dataclass(frozen=True)
class SeparateHost:
    """A namespace.

    Attributes:
        within: words that stand before a command which is to run there.
        address: by which the other one reaches it.
    """

    within: tuple[str, ...]
    address: str


@contextmanager
def two_hosts() -> Iterator[tuple[SeparateHost, SeparateHost]]:
    """Make two namespaces, and remove them afterwards; where that is not allowed the test is skipped."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip(f"{CANNOT_SEPARATE}: it takes root and ip(8)")
    mark = secrets.token_hex(3)
    names, links = (f"sondad-a-{mark}", f"sondad-b-{mark}"), (f"sa{mark}", f"sb{mark}")
    network = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(250)}"
    addresses = (f"{network}.1", f"{network}.2")
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
        for name, link, address in zip(names, links, addresses, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
            _ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        _remove(names)
        pytest.skip(f"{CANNOT_SEPARATE}: {error.stderr.strip()}")
    try:
        first, second = (
            SeparateHost(("ip", "netns", "exec", name), address) for name, address in zip(names, addresses, strict=True)
        )
        yield first, second
    finally:
        _remove(names)


def _remove(names: tuple[str, ...]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
