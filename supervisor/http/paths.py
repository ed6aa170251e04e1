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


def route_of(template: str) -> str:
    """Return a route as clients know it, `/scenarios/{id}`, from the template that the router was given."""
    return _FIELD.sub(r"{\1}", template)


class NameConverter(BaseConverter):
    """A path segment that names a scenario, client or check: anything but the empty text, percent-decoded."""

    def convert(self, value: str) -> str | None:
        """Return the decoded segment, or None (no match) for an empty one."""
        return unquote_to_bytes(value.encode("latin-1")).decode(errors="replace") or None
