"""GET /schema, GET /openapi.json and GET /examples: documents that are made once, at start.

Source: docs/http.md, "Documents".
"""

from typing import Any, Final

import falcon
import msgspec

from supervisor.http.entity_tags import is_known, tag_of
from supervisor.http.routes import Route, Serves

_CACHE_CONTROL: Final = "max-age=3600"


class ServedDocument:
    """One JSON document, with a tag by which clients know whether they have it.

    Args:
        content: what it says.
    """

    route = Route(Serves.READ, public=True)

    def __init__(self, content: dict[str, Any] | msgspec.Struct) -> None:
        self._body = msgspec.json.encode(content)
        self._tag = tag_of(self._body)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the document, or 304 to a client that has it."""
        resp.set_header("ETag", self._tag)
        resp.cache_control = [_CACHE_CONTROL]
        if is_known(req, self._tag):
            resp.status = falcon.HTTP_NOT_MODIFIED
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body

    on_head = on_get
