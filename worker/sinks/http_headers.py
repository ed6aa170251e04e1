"""The header fields of a sink's requests.

Source: RFC 9110, sections 5.1 and 5.5; docs/sinks.md, "Sinks that send requests".
"""

import re
from collections.abc import Mapping
from typing import Final

from common.errors import SinkOpenError
from worker.sinks.endpoint import Endpoint

_USER_AGENT: Final = "sondad"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})


def request_headers(endpoint: Endpoint, content_type: str, written: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of every request; those that users wrote replace ours of the same name, whatever its case.

    Raises:
        SinkOpenError: a written field is not one, or is about the framing of messages, which is not the user's.
    """
    fields = {"User-Agent": _USER_AGENT, "Content-Type": _value("Content-Type", content_type)}
    if endpoint.authorization is not None:
        fields["Authorization"] = endpoint.authorization
    for name, value in written.items():
        if not _TOKEN.fullmatch(name):
            raise SinkOpenError(f"header name '{name}' has characters that HTTP does not allow")
        if name.lower() in _FRAMING:
            raise SinkOpenError(f"header '{name}' is set by the sink itself, remove it from `headers`")
        same = [known for known in fields if known.lower() == name.lower()]
        for known in same:
            del fields[known]
        fields[name] = _value(name, value)
    return fields


def render_head(endpoint: Endpoint, fields: Mapping[str, str]) -> bytes:
    """Return the head of every request up to the digits of Content-Length, which comes last.

    Args:
        endpoint: where to.
        fields: of `request_headers`; a Host among them replaces the one of the endpoint.
    """
    own = {"Host": endpoint.authority, "Accept-Encoding": "identity"}
    written = {name.lower() for name in fields}
    kept = {name: value for name, value in own.items() if name.lower() not in written} | dict(fields)
    lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
    return f"POST {endpoint.target} HTTP/1.1\r\n{lines}Content-Length: ".encode("latin-1")


def _value(name: str, value: str) -> str:
    if _CONTROL.search(value):
        # The value may be a secret.
        raise SinkOpenError(f"the value of header '{name}' has control characters, which HTTP does not allow")
    # Heads are written as Latin-1; taken for that, the bytes of UTF-8 pass unchanged.
    return value.encode().decode("latin-1")
