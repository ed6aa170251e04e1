"""GET /schema and GET /openapi.json: documents that are made once, at start.

Source: RFC 9110, sections 8.8.3 and 13.1.2; docs/http.md, "Documents".
"""

import hashlib
from typing import Any, Final

import falcon
import msgspec

from supervisor.http.routes import Route, Serves

_CACHE_CONTROL: Final = "max-age=3600"


class Document:
    """One JSON document, with a tag by which clients know whether they have it.

    Args:
        content: what it says.
    """

    route = Route(Serves.READ, public=True)

    def __init__(self, content: dict[str, Any]) -> None:
        self._body = msgspec.json.encode(content)
        self._tag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the document, or 304 to a client that has it."""
        resp.set_header("ETag", self._tag)
        resp.cache_control = [_CACHE_CONTROL]
        if self._is_known(req.get_header("If-None-Match") or ""):
            resp.status = falcon.HTTP_NOT_MODIFIED
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body

    on_head = on_get

    def _is_known(self, tags: str) -> bool:
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return "*" in known or self._tag in known
