"""What every request passes before its resource sees it, in the order that docs/http.md gives.

The path is matched first (an unknown one gets 404 and nothing else), then come the origin, the size of the body, the
key, the method and the room for another scenario. All of it is in the head, so the I/O thread asks as well, before it
keeps a byte of a body that will be refused.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon

from common.errors import SondadError
from common.logs import fields
from supervisor.engine.control_plane import CapacityError
from supervisor.http.auth import check_authorization
from supervisor.http.errors import BodyTooLarge, MethodNotAllowed
from supervisor.http.origins import Header, Origins
from supervisor.http.paths import raw_path
from supervisor.http.routes import Resource, Routes, Serves

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request must comply with.

    Attributes:
        api_key: the key that protected routes ask for; None leaves everything public.
        max_body_bytes: limit of control routes; a body of exactly this size is let in.
        origins: whose web pages may ask.
        check_place: raises CapacityError when there is no place for another scenario.
    """

    api_key: str | None
    max_body_bytes: int
    origins: Origins
    check_place: Callable[[], None] = lambda: None


class Admission:
    """Falcon middleware, and the I/O thread's judge of heads.

    Args:
        routes: who serves what.
        rules: what to check.
    """

    def __init__(self, routes: Routes, rules: Rules) -> None:
        self._routes = routes
        self._rules = rules

    def serves(self, path: str) -> Serves:
        """Return the class of `path`, still percent-encoded."""
        resource = self._routes.find(path)
        return Serves.READ if resource is None else resource.route.serves

    def threads(self, method: str, path: str) -> Serves:
        """Return which threads serve a request to `path`, still percent-encoded."""
        resource = self._routes.find(path)
        return Serves.READ if resource is None else resource.route.threads(method)

    def kept_bytes(self, method: str, path: str, header: Header, body_bytes: int) -> int:
        """Return how much of a request's body may be kept; nothing of one that is going to be refused.

        Args:
            method: as sent.
            path: still percent-encoded.
            header: returns the value of a header, None without one.
            body_bytes: its length, as far as the head tells.
        """
        resource = self._routes.find(path)
        if resource is None or method not in ("POST", "PATCH") or not resource.route.takes_body:
            return 0
        try:
            self._check(resource, method, header, body_bytes)
        except SondadError:
            return 0
        return self._rules.max_body_bytes

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the router see the path as it was sent, so that an id may hold any character."""
        req.path = raw_path(req.env["REQUEST_URI"])
        if self._routes.find(req.path) is None:
            raise falcon.HTTPRouteNotFound
        if self._rules.origins.answers_preflight(req, resp):
            resp.complete = True

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource, params: dict[str, Any]
    ) -> None:
        """Check what the head tells.

        Raises:
            Forbidden: a web page of another origin asks, or for a host that is not ours.
            BodyTooLarge: a control route got more than the limit.
            Unauthorized: a protected route got no valid key.
            MethodNotAllowed: the path does not exist with this method.
            CapacityError: there is no place for another scenario.
        """
        del resp, params
        try:
            self._check(resource, req.method, req.get_header, req.content_length or 0)
        except CapacityError:
            origin = f"{req.method} {req.path}"
            logger.warning("%s: scenario cap reached", origin, extra=fields(needed=1, origin=origin))
            raise

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource | None, req_succeeded: bool
    ) -> None:
        """Let pages of allowed origins read the answer."""
        del resource, req_succeeded
        self._rules.origins.mark(req, resp)

    def _check(self, resource: Resource, method: str, header: Header, body_bytes: int) -> None:
        route, rules = resource.route, self._rules
        if not route.opens_anywhere:
            rules.origins.check(header)
        if route.serves is Serves.CONTROL and body_bytes > rules.max_body_bytes:
            raise BodyTooLarge
        if rules.api_key is not None and not route.public:
            check_authorization(header("Authorization"), rules.api_key)
        if method not in route.allow:
            raise MethodNotAllowed(route.allow)
        if method == "POST" and route.needs_place:
            rules.check_place()
