"""The grammars of names, and the comparison of a metric name with the URN roots of its check.

Source: examples/relay.yaml; docs/relay.md, "Reports".
"""

import re
from collections.abc import Iterable
from typing import Final

RELAY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
CHECK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+~-]{0,254}", re.ASCII)
_SEGMENT: Final = r"[A-Za-z0-9._~/@+%-]{1,64}"
_URN: Final = re.compile(rf"{_SEGMENT}(:{_SEGMENT}){{1,15}}", re.ASCII)
_MAX_URN_CHARS: Final = 255

ANY_ROOT: Final = "*"
LOOP_REFUSAL: Final = "the update has come in a loop or through too many relays"


def is_urn(text: str) -> bool:
    """Return whether `text` is 2 to 16 segments joined by `:` and at most 255 characters long."""
    return len(text) <= _MAX_URN_CHARS and _URN.fullmatch(text) is not None


def matches_roots(name: str, roots: Iterable[str]) -> bool:
    """Return whether `name` is a URN that equals one of `roots` or extends it by whole segments."""
    return is_urn(name) and any(root == ANY_ROOT or name == root or name.startswith(f"{root}:") for root in roots)
