"""GET / of a browser leads to the page; everybody else sees an unknown path, as always.

Source: docs/page.md.
"""

import falcon

_PAGE = "/ui/"


class LeadBrowsers:
    """Falcon middleware that looks at `/` before the routes are asked."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Redirect a browser: nobody else asks for HTML by name."""
        if req.method in ("GET", "HEAD") and req.path == "/" and "text/html" in (req.get_header("Accept") or ""):
            resp.status = falcon.HTTP_SEE_OTHER
            resp.set_header("Location", _PAGE)
            resp.set_header("Vary", "Accept")
            resp.complete = True
