"""The admin socket: what the relay knows and does, and the few things it can be told.

Large answers are rendered from a snapshot by a worker thread.

Source: docs/relay.md, "Reading the state".
"""

from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote

import msgspec

from common.families import CONTENT_TYPE
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.admin.exposition import SpoolGauges, render
from supervisor.relay.admin.snapshot import Snapshot
from supervisor.relay.checks.state import Key, utc_text
from supervisor.relay.config.records import LOG_LEVELS
from supervisor.relay.ledger.changes import DeadLetter
from supervisor.relay.ledger.files import StoreError
from supervisor.relay.net.answer import ACCEPTED, RefusedRequestError, RelayAnswer, json_answer, malformed, quoted
from supervisor.relay.net.exchange import RelayExchange
from supervisor.relay.net.http import Http
from supervisor.relay.net.request import RelayRequest
from supervisor.relay.threads import Threads

_DEFAULT_LIMIT: Final = 1000
_MAX_LIMIT: Final = 10_000
_MAX_OFFSET: Final = 10_000_000
_MAX_FAULT_CHARS: Final = 2000


class Administered(Protocol):
    """What the admin socket asks of the relay; everything on the main thread."""

    def ping(self) -> dict[str, Any]:
        """Return the answer to `GET /ping`."""
        ...

    def problems(self) -> list[str]:
        """Return why the relay is degraded."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the answer to `GET /state`."""
        ...

    def snapshot(self) -> Snapshot:
        """Return a copy of all check states."""
        ...

    def counters(self) -> RelayCounters:
        """Return a copy of the counters."""
        ...

    def gauges(self) -> SpoolGauges:
        """Return the figures of spool and upstream."""
        ...

    def history(self, key: Key) -> list[dict[str, Any]]:
        """Return the transitions of a check, oldest first."""
        ...

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first."""
        ...

    def act(self, action: str) -> None:
        """Carry out `reconcile`, `flush` or `ack`."""
        ...

    def reload(self, done: Callable[[str | None], object]) -> None:
        """Read the configuration again; `done` is called with what is wrong with it, None when nothing is."""
        ...

    def set_log_level(self, level: str) -> None:
        """Change the log level until the next reload."""
        ...


class AdminEndpoint:
    """Serves one listener. Without credentials (`read_only`, the TCP listener) nothing can be changed."""

    def __init__(self, relay: Administered, http: Http, threads: Threads, *, read_only: bool) -> None:
        self._relay = relay
        self._http = http
        self._threads = threads
        self._read_only = read_only

    def serve(self, exchange: RelayExchange) -> None:
        """Answer one request."""
        request = exchange.request
        if request is None:
            return
        try:
            work = self._route(exchange, request)
        except RefusedRequestError as refused:
            exchange.reply(refused.answer())
        except StoreError as exc:
            exchange.reply(_unavailable(exc))
        else:
            if isinstance(work, RelayAnswer):
                exchange.reply(work)
            elif work is not None:
                self._threads.submit(work, lambda result: _finish(exchange, result))

    def _route(self, exchange: RelayExchange, request: RelayRequest) -> RelayAnswer | Callable[[], RelayAnswer] | None:
        """Return the answer, or what renders it on a thread, or None when it comes later."""
        if exchange.caller.denied is not None:
            raise RefusedRequestError(403, "NotAuthorized", "client is not authorized")
        path, _, query = request.target.partition("?")
        pieces = [unquote(piece) for piece in path.split("/")[1:]]
        methods = _methods_of(pieces)
        if not methods:
            raise RefusedRequestError(404, "ResourceNotFound", f"no such resource: {quoted(path)}")
        if request.method not in methods or (self._read_only and request.method == "POST"):
            allowed = ", ".join(method for method in methods if not (self._read_only and method == "POST"))
            message = f"{quoted(request.method)} is not allowed on {quoted(path)}"
            raise RefusedRequestError(405, "UnknownError", message, ("Allow", allowed))
        versions = request.values("x-api-version")
        if versions and (len(versions) > 1 or not self._http.knows_version(versions[0])):
            raise malformed(f"unsupported X-Api-Version: {quoted(', '.join(versions))}")
        parameters = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        if request.method == "POST":
            return self._act(exchange, parameters)
        return self._read(pieces, parameters)

    def _read(self, pieces: list[str], parameters: dict[str, str]) -> RelayAnswer | Callable[[], RelayAnswer]:
        relay = self._relay
        match pieces:
            case ["ping"]:
                return json_answer(relay.ping())
            case ["health"]:
                status = relay.ping()["status"]
                return json_answer(
                    {"status": status, "problems": relay.problems()}, status=200 if status == "OK" else 503
                )
            case ["state"]:
                return json_answer(relay.describe())
            case ["deadletters"]:
                return self._letters(parameters)
            case ["metrics"]:
                snapshot, counters, gauges = relay.snapshot(), relay.counters(), relay.gauges()
                return lambda: RelayAnswer(200, render(snapshot, counters, gauges).encode(), CONTENT_TYPE)
            case ["checks"]:
                return self._page(parameters)
            case _:
                return self._one(pieces[1], pieces[2])

    def _page(self, parameters: dict[str, str]) -> Callable[[], RelayAnswer]:
        client, status = parameters.get("client"), parameters.get("status")
        if status not in (None, "ok", "warn", "error", "null"):
            raise _invalid("status must be one of: ok,warn,error,null")
        stale = {None: None, "true": True, "1": True, "false": False, "0": False}.get(parameters.get("stale"), "")
        if isinstance(stale, str):
            raise _invalid("stale must be true or false")
        limit = _count(parameters, "limit", _DEFAULT_LIMIT, _MAX_LIMIT)
        offset = _count(parameters, "offset", 0, _MAX_OFFSET)
        snapshot = self._relay.snapshot()
        return lambda: json_answer(snapshot.page(client, status, stale, limit, offset))

    def _letters(self, parameters: dict[str, str]) -> Callable[[], RelayAnswer]:
        """Return all dead letters as a list, or when a bound is given a page of them and how many there are."""
        letters = self._relay.dead_letters()
        if not parameters.keys() & {"limit", "offset"}:
            return lambda: json_answer([_letter_json(letter) for letter in letters])
        limit = _count(parameters, "limit", _DEFAULT_LIMIT, _MAX_LIMIT)
        offset = _count(parameters, "offset", 0, _MAX_OFFSET)
        page = letters[offset : offset + limit]
        return lambda: json_answer({"dead_letters": [_letter_json(letter) for letter in page], "total": len(letters)})

    def _one(self, client: str, check: str) -> RelayAnswer:
        shown = self._relay.snapshot().show((client, check))
        if shown is None:
            raise RefusedRequestError(
                404, "ResourceNotFound", f"{quoted(client)}/{quoted(check)} is not a registered check"
            )
        return json_answer(shown.as_json() | {"history": self._relay.history(shown.key)})

    def _act(self, exchange: RelayExchange, parameters: dict[str, str]) -> RelayAnswer | None:
        action = parameters.get("action", "")
        if not action:
            raise RefusedRequestError(409, "MissingParameter", '"action" is required')
        if action == "loglevel":
            level = parameters.get("level", "")
            if not level:
                raise _invalid('"level" is required')
            if level not in LOG_LEVELS:
                raise _invalid(f"level must be one of: {','.join(LOG_LEVELS)}")
            self._relay.set_log_level(level)
        elif action == "reload":
            self._relay.reload(lambda fault: exchange.reply(_reloaded(fault)))
            return None
        elif action in ("reconcile", "flush", "ack"):
            self._relay.act(action)
        else:
            raise _invalid(f'"{quoted(action)}" is not a valid action')
        return ACCEPTED


_READ: Final = ("GET", "HEAD")


def _methods_of(pieces: list[str]) -> tuple[str, ...]:
    """Return the methods of a resource, none when there is no such resource."""
    match pieces:
        case ["state"]:
            return (*_READ, "POST")
        case ["ping" | "health" | "checks" | "deadletters" | "metrics"] | ["checks", _, _]:
            return _READ
    return ()


def _reloaded(fault: str | None) -> RelayAnswer:
    if fault is None:
        return ACCEPTED
    return _invalid(f"configuration rejected, the previous one stays in force: {fault[:_MAX_FAULT_CHARS]}").answer()


def _invalid(message: str) -> RefusedRequestError:
    return RefusedRequestError(409, "InvalidArgument", message)


def _unavailable(error: BaseException) -> RelayAnswer:
    return RefusedRequestError(503, "UnknownError", str(error), ("Retry-After", "1")).answer()


def _finish(exchange: RelayExchange, result: RelayAnswer | BaseException | None) -> None:
    if isinstance(result, RelayAnswer):
        exchange.reply(result)
    else:
        exchange.fail(result or TypeError("an answer is missing"))


def _count(parameters: dict[str, str], name: str, default: int, maximum: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isdecimal() and text.isascii()) or len(text) > 9 or int(text) > maximum:
        raise _invalid(f"{name} must be an integer from 0 to {maximum}")
    return int(text)


def _letter_json(letter: DeadLetter) -> dict[str, Any]:
    return {
        "client": letter.client,
        "check": letter.check,
        "request_id": letter.request_id,
        "accepted_at": utc_text(letter.accepted_ms),
        "refused_at": utc_text(letter.refused_ms),
        "answer": {"status": letter.answer_status, "body": letter.answer},
        "update": msgspec.json.decode(letter.body),
    }
