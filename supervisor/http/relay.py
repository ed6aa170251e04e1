"""`GET /relay/…` of the control plane: the relay's state, in the control plane's error shape.

Runs in the control plane's process. Nothing else of it depends on the relay.

Source: docs/relay.md, "Beside the control plane".
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

import falcon
import msgspec

from supervisor.host.roundtrip import Response
from supervisor.http.routes import Route, Serves
from supervisor.relay_link.client import RelayClient, RelayUnavailableError

_BOUNDS: Final = ("limit", "offset")
_FILTERS: Final = ("client", "status", "stale", *_BOUNDS)
_DEFAULT_LETTERS: Final = "100"


class RelayResource:
    """GET and HEAD under the key rule of `/scenarios`."""

    route = Route(Serves.RELAY)

    def __init__(self, client: RelayClient) -> None:
        self._client = client


def routes(client: RelayClient) -> list[tuple[str, RelayResource]]:
    """Return the routes with their resources; the application's converter `name` decodes a segment."""
    return [
        ("/relay/checks", RelayChecks(client)),
        ("/relay/checks/{client:name}/{check:name}", RelayCheck(client)),
        ("/relay/deadletters", RelayDeadLetters(client)),
        ("/relay/metrics", RelayMetrics(client)),
        ("/relay/health", RelayHealth(client)),
    ]


class RelayChecks(RelayResource):
    """The listing, with the relay's own filters."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the listing; an unusable filter is a 400."""
        _relay(resp, self._client, f"/checks{_query(req, _FILTERS)}")

    on_head = on_get


class RelayCheck(RelayResource):
    """One check with its history."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, client: str, check: str) -> None:
        """Answer the check; an unknown pair is a 404."""
        del req
        _relay(resp, self._client, f"/checks/{quote(client, safe='')}/{quote(check, safe='')}")

    on_head = on_get


class RelayDeadLetters(RelayResource):
    """The updates that the upstream rejected for good, a page of them."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the page; an unusable bound is a 400."""
        _relay(resp, self._client, f"/deadletters{_query(req, _BOUNDS, limit=_DEFAULT_LETTERS)}")

    on_head = on_get


class RelayMetrics(RelayResource):
    """The relay's series."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the exposition."""
        del req
        _relay(resp, self._client, "/metrics")

    on_head = on_get


class RelayHealth(RelayResource):
    """The relay's health."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 or 503 with the relay's own status and problems."""
        del req
        _relay(resp, self._client, "/health", passed=(200, 503))

    on_head = on_get


def _query(req: falcon.Request, names: Sequence[str], **defaults: str) -> str:
    """Return the query that passes these parameters on; of a repeated one the last."""
    given = {name: values for name in names if (values := req.get_param_as_list(name))}
    query = urlencode(defaults | {name: values[-1] for name, values in given.items()})
    return f"?{query}" if query else ""


def _relay(resp: falcon.Response, client: RelayClient, path: str, passed: tuple[int, ...] = (200,)) -> None:
    try:
        answer = client.get(path)
    except RelayUnavailableError as error:
        _refuse(resp, 503, "relay_unavailable", str(error))
        return
    if answer.status in passed:
        resp.status = str(answer.status)
        resp.content_type = answer.headers.get("content-type", falcon.MEDIA_JSON)
        resp.data = answer.body
    elif answer.status == 404:
        _refuse(resp, 404, "not_found", _message(answer))
    elif answer.status == 409:
        _refuse(resp, 400, "bad_request", _message(answer))
    else:
        _refuse(resp, 503, "relay_unavailable", f"the relay answered {answer.status}: {_message(answer)}")


class _RelayError(msgspec.Struct):
    message: str


def _message(answer: Response) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_RelayError).message
    except msgspec.MsgspecError:
        return f"status {answer.status}"


def _refuse(resp: falcon.Response, status: int, error: str, detail: str) -> None:
    resp.status = str(status)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode({"error": error, "detail": detail})
