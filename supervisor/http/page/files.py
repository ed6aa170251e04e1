"""GET /ui/ and what belongs to it: the files of the page, the same for everybody, so they need no key.

They are read once, at start, from the package; a name that is not among them is an unknown path.

Source: docs/page.md, "What it may do"; Content Security Policy level 3.
"""

import re
from importlib import resources
from typing import Any, Final, NamedTuple

import falcon

from supervisor.http.entity_tags import is_known, tag_of
from supervisor.http.routes import Route, Serves

_INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_VERSIONED: Final = re.compile(r"-\d+(?:\.\d+)+\.\w+$")
"""Names that carry a version: what is behind them never changes."""


class _File(NamedTuple):
    content: bytes
    content_type: str
    tag: str
    cache_control: str


class PageFiles:
    """The files of the page; without a name its document."""

    route = Route(Serves.READ, public=True, opens_anywhere=True)

    def __init__(self) -> None:
        folder = resources.files("supervisor.http.page") / "static"
        self._files = {file.name: _file(file.name, file.read_bytes()) for file in folder.iterdir()}

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = _INDEX) -> None:
        """Answer a file, or 304 to a browser that has it; an unknown name is an unknown path."""
        file = self._files.get(name)
        if file is None:
            raise falcon.HTTPRouteNotFound
        resp.set_headers(_HEADERS)
        resp.set_header("ETag", file.tag)
        resp.set_header("Cache-Control", file.cache_control)
        if is_known(req, file.tag):
            resp.status = falcon.HTTP_NOT_MODIFIED
            return
        resp.content_type = file.content_type
        resp.data = file.content

    on_head = on_get


def routes() -> list[tuple[str, Any]]:
    """Return the routes of the page with their resource."""
    files = PageFiles()
    return [("/ui/", files), ("/ui/{name}", files)]


def _file(name: str, content: bytes) -> _File:
    # What may change with the next version of the daemon is asked for each time, and not sent again while it has not.
    cache_control = "max-age=31536000, immutable" if _VERSIONED.search(name) else "no-cache"
    return _File(content, _TYPES[name.rpartition(".")[2]], tag_of(content), cache_control)
