"""Tags by which clients know whether they have a document already.

Source: RFC 9110, sections 8.8.3 and 13.1.2.
"""

import hashlib

import falcon


def tag_of(content: bytes) -> str:
    """Return the value of `ETag` for `content`: other bytes have another one."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_known(req: falcon.Request, tag: str) -> bool:
    """Return whether the client has what `tag` names, so that 304 is enough."""
    known = [given.strip().removeprefix("W/") for given in (req.get_header("If-None-Match") or "").split(",")]
    return "*" in known or tag in known
