"""What every request passes before its resource sees it, in a fixed order.

The path is matched first (an unknown one gets 404 and nothing else), then the size of the body, the key and the method
are checked. Source: docs/http.md, "Order of checks".
"""

from typing import Any, Protocol

import falcon

from supervisor.http.auth import check_authorization
from supervisor.http.errors import BodyTooLarge, MethodNotAllowed
from supervisor.http.paths import is_control, raw_path


class Resource(Protocol):
    """What admission reads of a resource.

    Attributes:
        allow: the methods its path exists with.
        public: whether it needs no key.
    """

    allow: tuple[str, ...]
    public: bool


class Admission:
    """Falcon middleware.

    Args:
        api_key: the key that protected routes ask for; None leaves everything public.
        max_body_bytes: limit of control routes; a body of exactly this size is let in.
    """

    def __init__(self, api_key: str | None, max_body_bytes: int) -> None:
        self._api_key = api_key
        self._max_body_bytes = max_body_bytes

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the router see the path as it was sent, so that an id may hold any character."""
        del resp
        req.path = raw_path(req.env["REQUEST_URI"])
        if not req.path.startswith("/") or req.path.startswith("//"):
            # The router would take any number of leading slashes for one.
            raise falcon.HTTPRouteNotFound

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource, params: dict[str, Any]
    ) -> None:
        """Check size, key and method.

        Raises:
            BodyTooLarge: a control route got more than the limit.
            Unauthorized: a protected route got no valid key.
            MethodNotAllowed: the path does not exist with this method.
        """
        del resp, params
        if is_control(req.path) and (req.content_length or 0) > self._max_body_bytes:
            raise BodyTooLarge
        if self._api_key is not None and not resource.public:
            check_authorization(req.get_header("Authorization"), self._api_key)
        if req.method not in resource.allow:
            raise MethodNotAllowed(resource.allow)
