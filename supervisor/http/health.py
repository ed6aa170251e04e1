"""GET /health: the process answers. Depends on no worker, lock or thread of the control calls.

Source: HTTP contract, section 6.
"""

import falcon


class Health:
    """Liveness, always public."""

    allow = ("GET", "HEAD")
    public = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = b'{"status":"ok"}'

    on_head = on_get
