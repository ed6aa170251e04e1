"""`POST /checks/:check` on client sockets and on the pure socket: who may report what, and the answer.

The order of the checks is fixed; the first failure answers. `report` reads the body, `ledger` stores the update.

Source: docs/relay.md, "Who may report what" and "Reports".
"""

import fnmatch
import functools
import hmac
import math
import time
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.checks.report import Report, read_report
from supervisor.relay.checks.state import Key
from supervisor.relay.clients.ratelimit import RateLimit
from supervisor.relay.config import names
from supervisor.relay.config.records import CheckSettings, Client, Config
from supervisor.relay.ledger.jobs import Outcome, Update
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.net.answer import ACCEPTED, RefusedRequestError, malformed, quoted
from supervisor.relay.net.exchange import RelayExchange
from supervisor.relay.net.http import Http
from supervisor.relay.net.request import RelayRequest
from supervisor.relay.threads import Threads

# Larger bodies are decoded by a worker thread, so that they do not hold up the loop.
_INLINE_BODY_BYTES: Final = 16 << 10
_MAX_PATH_IDS: Final = 8
_MAX_TIME_DIGITS: Final = 15


class _Origin(msgspec.Struct, frozen=True):
    """What is known before the body is read. `scope` is the client of the socket, None on the pure socket."""

    client: str
    scope: Client | None
    check: str
    query: str
    origin_ms: int | None
    path: tuple[str, ...]


class CheckEndpoint:
    """Serves check updates; one for all client sockets and the pure socket, main thread only."""

    def __init__(self, config: Config, http: Http, ledger: Ledger, counters: RelayCounters, threads: Threads) -> None:
        self._http = http
        self._ledger = ledger
        self._counters = counters
        self._threads = threads
        self._dynamic: dict[str, set[Key]] = {}
        self._limits: dict[str, RateLimit] = {}
        self.use(config)
        for key, state in ledger.states.items():
            if state.via is not None:
                self._dynamic.setdefault(state.via, set()).add(key)

    def use(self, config: Config) -> None:
        """Apply a new configuration to requests from now on; unchanged rate limits keep their fill."""
        self._config = config
        limits = {}
        for client in config.clients.values():
            if client.rate_per_sec is not None:
                old = self._limits.get(client.name)
                same = old is not None and (old.rate_per_sec, old.burst) == (client.rate_per_sec, client.burst)
                limits[client.name] = old if old and same else RateLimit(client.rate_per_sec, client.burst)
        self._limits = limits

    def forget(self, keys: list[Key]) -> None:
        """Free the places of unconfigured checks that were removed."""
        for known in self._dynamic.values():
            known.difference_update(keys)

    def serve(self, exchange: RelayExchange) -> None:
        """Answer one request."""
        request = exchange.request
        if request is None:
            return
        try:
            origin = self._admit(exchange, request)
            if len(request.body) <= _INLINE_BODY_BYTES:
                self._submit(exchange, origin, read_report(request, origin.query))
                return
        except RefusedRequestError as refused:
            exchange.reply(refused.answer())
            return
        self._threads.submit(
            lambda: read_report(request, origin.query), lambda result: self._continue(exchange, origin, result)
        )

    def _continue(self, exchange: RelayExchange, origin: _Origin, result: Report | BaseException | None) -> None:
        if isinstance(result, RefusedRequestError):
            exchange.reply(result.answer())
        elif isinstance(result, Report):
            try:
                self._submit(exchange, origin, result)
            except RefusedRequestError as refused:
                exchange.reply(refused.answer())
        else:
            exchange.fail(result or TypeError("a report is missing"))

    def _admit(self, exchange: RelayExchange, request: RelayRequest) -> _Origin:
        """Check identity, path, method, version and rate."""
        client, scope = self._identify(exchange, request)
        path = self._relay_path(request)
        origin_ms = self._relay_time(request)
        target, query, check = _read_target(request.target)
        if check is None:
            raise RefusedRequestError(404, "ResourceNotFound", f"no such resource: {quoted(target)}")
        if request.method != "POST":
            message = f"{quoted(request.method)} is not allowed on {quoted(target)}"
            raise RefusedRequestError(405, "UnknownError", message, ("Allow", "POST"))
        versions = request.values("x-api-version")
        if versions and (len(versions) > 1 or not self._http.knows_version(versions[0])):
            raise malformed(f"unsupported X-Api-Version: {quoted(', '.join(versions))}")
        self._check_rate(scope.name if scope is not None else client)
        trusted = scope is None or scope.kind == "relay"
        return _Origin(client, scope, check, query, origin_ms if trusted else None, path if trusted else ())

    def _identify(self, exchange: RelayExchange, request: RelayRequest) -> tuple[str, Client | None]:
        caller = exchange.caller
        spoken_for = request.values("x-relay-client")
        if caller.denied is not None:
            raise _denied()
        if self._config.relay.mode == "pure":
            self._check_token(request)
            if not spoken_for:
                client = self._config.relay.pure.default_client
            elif len(spoken_for) == 1 and names.CLIENT.fullmatch(spoken_for[0]):
                client = spoken_for[0]
            else:
                raise malformed("bad X-Relay-Client")
            exchange.client = client if client in self._config.clients else ""
            return client, None
        scope = self._config.clients.get(caller.client)
        if scope is None:
            raise _denied()
        if len(spoken_for) > 1:
            raise malformed("X-Relay-Client given twice")
        client = spoken_for[0] if spoken_for else scope.name
        if client != scope.name and not _may_speak_for(scope, client):
            self._counters.denied[scope.name, "x_relay_client"] += 1
            raise _denied()
        exchange.client = client if client in self._config.clients else scope.name
        return client, scope

    def _check_token(self, request: RelayRequest) -> None:
        token = self._config.relay.pure.token
        if token is None:
            return
        given = request.values("authorization")
        scheme, _, credentials = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        same = hmac.compare_digest(credentials.strip().encode("latin-1"), token.encode("latin-1"))
        if scheme.lower() != "bearer" or not same:
            raise RefusedRequestError(
                401, "NotAuthorized", "missing or invalid bearer token", ("WWW-Authenticate", "Bearer")
            )

    def _relay_path(self, request: RelayRequest) -> tuple[str, ...]:
        values = request.values("x-relay-path")
        if not values:
            return ()
        path = tuple(part.strip(" \t") for part in ",".join(values).split(","))
        if not all(names.RELAY_ID.fullmatch(relay_id) for relay_id in path):
            raise malformed("bad X-Relay-Path")
        if self._config.relay.id in path or len(path) > _MAX_PATH_IDS:
            raise RefusedRequestError(409, "InvalidArgument", names.LOOP_REFUSAL)
        return path

    def _relay_time(self, request: RelayRequest) -> int | None:
        values = request.values("x-relay-time")
        if not values:
            return None
        if len(values) > 1 or not values[0].isdecimal() or len(values[0]) > _MAX_TIME_DIGITS or not values[0].isascii():
            raise malformed("bad X-Relay-Time")
        return min(int(values[0]), _LATEST_MS)

    def _check_rate(self, client: str) -> None:
        limit = self._limits.get(client)
        wait_secs = limit.take(time.monotonic()) if limit is not None else 0.0
        if wait_secs > 0.0:
            retry_after = ("Retry-After", str(math.ceil(wait_secs)))
            raise RefusedRequestError(429, "UnknownError", "too many updates", retry_after)

    def _submit(self, exchange: RelayExchange, origin: _Origin, report: Report) -> None:
        """Check that the client has the check and the check the metrics; then ask the ledger."""
        key = (origin.client, origin.check)
        check, via = self._lookup(origin, key)
        for name in report.metric_names:
            valid = names.is_urn(name) if check is None else names.matches_roots(name, check.roots)
            if not valid:
                text = f"metric name {quoted(name)} is not valid for check {quoted(origin.check)}"
                raise RefusedRequestError(409, "InvalidArgument", text)
        update = Update(
            key=key,
            report=report,
            request_id=exchange.request_id,
            fingerprint=report.fingerprint() if exchange.supplied_id is not None else None,
            peer=exchange.caller.peer,
            via=via,
            origin_ms=origin.origin_ms,
            path=origin.path,
        )
        self._ledger.submit(update, lambda outcome: self._answer(exchange, key, via, outcome))

    def _lookup(self, origin: _Origin, key: Key) -> tuple[CheckSettings | None, str | None]:
        """Return the check and None, or None and the scope that accepts unknown checks."""
        config = self._config
        client = config.clients.get(origin.client)
        if client is None:
            client = origin.scope  # a child without an entry of its own reports the checks of its relay
        if client is not None and origin.check in client.checks:
            return client.checks[origin.check], None
        scope = origin.scope if origin.scope is not None else config.relay.pure
        via = origin.scope.name if origin.scope is not None else ""
        known = self._dynamic.setdefault(via, set())
        has_room = key in known or len(known) < scope.max_dynamic
        if scope.accept_unknown and has_room and names.CHECK.fullmatch(origin.check):
            known.add(key)
            return None, via
        raise RefusedRequestError(404, "ResourceNotFound", f"{quoted(origin.check)} is not a registered check")

    def _answer(self, exchange: RelayExchange, key: Key, via: str | None, outcome: Outcome) -> None:
        if outcome is not Outcome.ACCEPTED and via is not None and key not in self._ledger.states:
            self._dynamic[via].discard(key)
        if outcome is Outcome.CONFLICT:
            text = "request id reused with different content"
            exchange.reply(RefusedRequestError(409, "InvalidArgument", text).answer())
        elif outcome in (Outcome.FULL, Outcome.FAILED):
            text = "the spool is full" if outcome is Outcome.FULL else "the update could not be stored"
            exchange.reply(RefusedRequestError(503, "UnknownError", text, ("Retry-After", "1")).answer())
        else:
            if outcome is Outcome.DUPLICATE:
                exchange.duplicate = True
                self._counters.duplicates[exchange.client] += 1
            exchange.reply(ACCEPTED)


# The end of the year 9999: the latest time that can be shown.
_LATEST_MS: Final = 253_402_300_799_999


def _denied() -> RefusedRequestError:
    return RefusedRequestError(403, "NotAuthorized", "client is not authorized")


def _may_speak_for(scope: Client, client: str) -> bool:
    return (
        scope.kind == "relay"
        and names.CLIENT.fullmatch(client) is not None
        and any(fnmatch.fnmatchcase(client, pattern) for pattern in scope.children)
    )


# PERF: a client has few checks and reports them again and again.
@functools.lru_cache(maxsize=256)
def _read_target(target: str) -> tuple[str, str, str | None]:
    """Return path, query and check of a request target; a proxy's absolute form is reduced to path and query."""
    before, scheme_end, rest = target.partition("://")
    if scheme_end and "/" not in before and "?" not in before:
        _, slash, path = rest.partition("/")
        target = f"/{path}" if slash else "/"
    path, _, query = target.partition("?")
    return path, query.encode("latin-1").decode("utf-8", "replace"), _check_of(path)


def _check_of(path: str) -> str | None:
    """Return the check of `/checks/<check>`, percent-decoded once; None for every other path."""
    pieces = path.split("/")
    if len(pieces) != 3 or pieces[0] or pieces[1] != "checks":
        return None
    try:
        check = unquote_to_bytes(pieces[2].encode("latin-1")).decode()
    except UnicodeDecodeError:
        return None
    return None if not check or "/" in check else check
