"""Request paths: matched as they were sent, decoded only where they are a name.

Source: docs/http.md.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from falcon.routing import BaseConverter

_FIELD: Final = re.compile(r"\{(?:scenario_)?(\w+)(?::name)?\}")


def raw_path(target: str) -> str:
    """Return the path of a request target, still percent-encoded, without query and fragment.

    Args:
        target: origin form (`/scenarios?x=1`) or absolute form (`http://host/scenarios`).
    """
    path = target.partition("?")[0].partition("#")[0]
    if path.startswith("/"):
        return path
    _, scheme, location = path.partition("://")
    return "/" + location.partition("/")[2] if scheme else path


def is_control(path: str) -> bool:
    """Return whether `path` is a control route: one that is limited, and may wait for the main loop."""
    segments = path.split("/")
    return path == "/events" or (
        len(segments) in (2, 3) and segments[1] == "scenarios" and path != "/scenarios/metrics"
    )


def is_probe(path: str) -> bool:
    """Return whether `path` asks how the daemon is, which must be answered whatever happens."""
    return path in ("/health", "/ready")


def is_relay(path: str) -> bool:
    """Return whether `path` asks the relay, which may take its time."""
    return path.startswith("/relay/")


def route_of(template: str) -> str:
    """Return a route as clients know it, `/scenarios/{id}`, from the template that the router was given."""
    return _FIELD.sub(r"{\1}", template)


class NameConverter(BaseConverter):
    """A path segment that names a scenario, client or check: anything but the empty text, percent-decoded."""

    def convert(self, value: str) -> str | None:
        """Return the decoded segment, or None (no match) for an empty one."""
        return unquote_to_bytes(value.encode("latin-1")).decode(errors="replace") or None
