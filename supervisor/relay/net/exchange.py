"""One request on its way to its answer, and the verdict about who sent it."""

import logging
from collections.abc import Callable

import msgspec

from supervisor.relay.net.answer import RefusedRequestError, RelayAnswer, new_request_id, request_uuid
from supervisor.relay.net.identity import Peer
from supervisor.relay.net.request import RelayRequest

logger = logging.getLogger(__name__)


class Caller(msgspec.Struct, frozen=True):
    """The verdict about a peer, taken at accept. `denied` is the attribute that did not match."""

    client: str = ""
    peer: Peer | None = None
    denied: str | None = None


class RelayExchange:
    """One request on its way to its answer. `client` labels it once the identity is established."""

    __slots__ = ("_reply", "caller", "client", "duplicate", "request", "request_id", "supplied_id", "version")

    def __init__(
        self,
        request: RelayRequest | None,
        caller: Caller,
        version: str,
        reply: Callable[["RelayExchange", RelayAnswer], None],
    ) -> None:
        self.request = request
        self.caller = caller
        self.client = "" if caller.denied else caller.client
        self.version = version
        self.duplicate = False
        self.supplied_id = request_uuid(request.values("x-request-id")) if request is not None else None
        self.request_id = self.supplied_id or new_request_id()
        self._reply = reply

    def reply(self, answer: RelayAnswer) -> None:
        """Send the answer; called exactly once, on the main thread."""
        self._reply(self, answer)

    def fail(self, error: BaseException) -> None:
        """Answer 500 because of a fault here; the log has the whole story, the answer none of it."""
        logger.error("a request failed unexpectedly", exc_info=error)
        self.reply(RefusedRequestError(500, "UnknownError", "unexpected fault, see the relay's log").answer())
