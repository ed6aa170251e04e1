"""Sends spool entries upstream on threads, as the forwarder says, and settles them in the ledger.

Source: docs/relay.md, "Forwarding".
"""

import logging
import random
import ssl
import time
from typing import Any, Final
from urllib.parse import quote

from common.units import clip
from common.units import quote as quote_text
from supervisor.host.loop import Loop, Timer
from supervisor.host.roundtrip import Response, RoundtripError, roundtrip
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.checks.state import utc_text
from supervisor.relay.config.names import LOOP_REFUSAL
from supervisor.relay.config.records import Config, UpstreamSettings
from supervisor.relay.ledger.changes import DeadLetter, Payload
from supervisor.relay.ledger.files import StoreError
from supervisor.relay.ledger.jobs import Settled
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.net.network import out_of_reach
from supervisor.relay.threads import Threads
from supervisor.relay.upstream.forwarder import Forwarder, Result, asked_wait_secs, classify
from supervisor.relay.upstream.spool import SpoolEntry

logger = logging.getLogger(__name__)

MAX_CONCURRENCY: Final = 64
_MAX_ANSWER_BYTES: Final = 2048
_STORE_RETRY_SECS: Final = 1.0
_OLD_ENTRY_SECS: Final = 300.0


class Sender:
    """The way to one upstream. Without one configured nothing is sent, and what is spooled waits."""

    def __init__(self, config: Config, loop: Loop, ledger: Ledger, counters: RelayCounters) -> None:
        self.last_ok_ms: int | None = None
        self.last_error: str | None = None
        self.last_refusal: str | None = None
        self.forwarder: Forwarder | None = None
        self._loop = loop
        self._ledger = ledger
        self._counters = counters
        self._threads = Threads(loop, "sender", MAX_CONCURRENCY)
        self._config = config
        self._tls: ssl.SSLContext | None = None
        self._timer: Timer | None = None
        self._due: float | None = None
        self._stopping = False
        self._use(config)

    def reconfigure(self, config: Config) -> None:
        """Apply a changed upstream at once; an unchanged one keeps its pauses."""
        changed = config.upstream != self._config.upstream
        self._config = config
        if changed:
            self._use(config)

    def pump(self) -> None:
        """Send whatever may be sent now, and wake up again when more may be."""
        forwarder = self.forwarder
        upstream = self._config.upstream
        if forwarder is None or upstream is None or self._stopping:
            return
        now = time.monotonic()
        while (entry := forwarder.next_entry(now)) is not None:
            self._begin(entry, forwarder, upstream)
        due = forwarder.next_wake(now)
        if due is not None and due <= now and forwarder.in_flight:
            due = None  # the end of that request is what is waited for
        if due != self._due:
            self._wake_at(due, now)

    def flush(self) -> None:
        """Forget every backoff and pause."""
        if self.forwarder is not None:
            self.forwarder.flush()
            self.pump()

    def stop(self) -> None:
        """Send nothing new; requests in flight end by themselves."""
        self._stopping = True

    def is_idle(self) -> bool:
        """Return whether no request is in flight."""
        return self.forwarder is None or self.forwarder.in_flight == 0

    def is_up(self) -> bool | None:
        """Return whether the last attempt succeeded; None before the first one."""
        if self._config.upstream is None or (self.last_error is None and self.last_ok_ms is None):
            return None
        return self.last_error is None

    def problems(self) -> list[str]:
        """Return why forwarding is degraded."""
        upstream, forwarder = self._config.upstream, self.forwarder
        if upstream is None or forwarder is None:
            return []
        problems = []
        if (fault := out_of_reach(upstream.target)) is not None:
            problems.append(f"upstream: {fault}")
        if self._ledger.unread_dead:
            latest = f", the latest {self.last_refusal}" if self.last_refusal else ""
            problems.append(
                f"upstream: {self._ledger.unread_dead} updates rejected for good{latest}; see GET /deadletters, then "
                "POST /state?action=ack"
            )
        if forwarder.unauthorized:
            problems.append("upstream: 401, it does not accept our token")
        held = forwarder.held_clients(time.monotonic())
        problems.extend(f"upstream: 403, it does not accept client {name}" for name in held)
        oldest = self._ledger.spool.oldest_of_all()
        if self.last_error is not None and oldest and time.time() - oldest.at_ms / 1000 > _OLD_ENTRY_SECS:
            problems.append(f"upstream: {self.last_error}")
        return problems

    def describe(self) -> dict[str, Any] | None:
        """Return the `upstream` part of `GET /state`, None without an upstream."""
        upstream, forwarder = self._config.upstream, self.forwarder
        if upstream is None or forwarder is None:
            return None
        retry_in_secs = forwarder.retry_in_secs(time.monotonic())
        state = {None: "unknown", True: "ok", False: "failing"}[self.is_up()]
        return {
            "url": upstream.target.url,
            "state": "unauthorized" if forwarder.unauthorized else state,
            "last_ok_at": utc_text(self.last_ok_ms),
            "last_error": self.last_error,
            "retry_in_secs": round(retry_in_secs, 3) if retry_in_secs else None,
        }

    def _use(self, config: Config) -> None:
        upstream = config.upstream
        if upstream is None:
            return
        self._tls = None
        if upstream.target.scheme == "https":
            self._tls = ssl.create_default_context(cadata=upstream.ca_certificates)
        if self.forwarder is None:
            self.forwarder = Forwarder(self._ledger.spool, upstream, random.Random())  # noqa: S311 - jitter only
        else:
            self.forwarder.reconfigure(upstream)
        self.pump()

    def _wake_at(self, due: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.after(max(0.0, due - now), self._wake) if due is not None else None

    def _wake(self) -> None:
        self._due = self._timer = None
        self.pump()

    def _begin(self, entry: SpoolEntry, forwarder: Forwarder, upstream: UpstreamSettings) -> None:
        age_secs = time.time() - entry.at_ms / 1000
        if age_secs > self._config.spool.max_age_secs:
            forwarder.skip(entry)
            self._settle(Settled(entry=entry, dropped="expired"))
            return
        try:
            payload = self._ledger.payload(entry)
        except StoreError as exc:
            logger.warning("spool entry %s of %s/%s cannot be read: %s", entry.seq, *entry.key, exc)
            forwarder.finished(entry, Result.RETRY, time.monotonic(), _STORE_RETRY_SECS)
            return
        if payload is None:
            logger.error("entry %s of %s/%s is lost: it is missing or damaged in the store", entry.seq, *entry.key)
            forwarder.skip(entry)
            self._settle(Settled(entry=entry, dropped="damaged"))
            return
        headers = _headers(entry, payload, upstream, self._config.relay.id, self._config.relay.api_versions[0])
        tls = self._tls
        started = time.monotonic()
        self._threads.submit(
            lambda: roundtrip(
                upstream.target,
                "POST",
                f"/checks/{quote(entry.key[1], safe='')}",
                timeout_secs=upstream.timeout_secs,
                max_body_bytes=_MAX_ANSWER_BYTES,
                headers=headers,
                body=payload.body.encode(),
                tls=tls,
            ),
            lambda response: self._finish(entry, payload, response, time.monotonic() - started),
        )

    def _finish(
        self, entry: SpoolEntry, payload: Payload, response: Response | BaseException | None, elapsed_secs: float
    ) -> None:
        forwarder = self.forwarder
        if forwarder is None:
            return
        self._counters.observe_forward(elapsed_secs)
        now = time.monotonic()
        if not isinstance(response, Response):
            if not isinstance(response, RoundtripError):
                logger.error("forwarding %s/%s failed unexpectedly", *entry.key, exc_info=response)
            self._note_failure(str(response))
            self._counters.forwarded["retry"] += 1
            forwarder.finished(entry, Result.UNREACHABLE, now)
            self.pump()
            return
        result = classify(response.status)
        wait_secs = asked_wait_secs(response.headers.get("retry-after"), time.time())
        forwarder.finished(entry, result, now, wait_secs)
        if result is Result.OK:
            self.last_ok_ms = time.time_ns() // 1_000_000
            if self.last_error is not None:
                logger.info("the upstream accepts updates again")
            self.last_error = None
            self._counters.forwarded["ok"] += 1
            self._settle(Settled(entry=entry, acked_ms=self.last_ok_ms))
        elif result is Result.REJECTED:
            self._counters.forwarded["rejected"] += 1
            self._note_refusal(entry, response)
            self._settle(Settled(entry=entry, dead=_dead_letter(entry, payload, response)))
        else:
            self._note_failure(f"{response.status} for {entry.key[0]}/{entry.key[1]}")
            self._counters.forwarded["retry"] += 1
        self.pump()

    def _note_refusal(self, entry: SpoolEntry, response: Response) -> None:
        answer = response.body.decode("utf-8", "replace")
        hint = ""
        if LOOP_REFUSAL in answer:
            hint = f"; is relay.id {self._config.relay.id} also the id of a parent? every relay needs its own"
        refusal = f"an update of {entry.key[0]}/{entry.key[1]}: {response.status} {quote_text(clip(answer))}{hint}"
        self.last_refusal = refusal
        logger.warning("the upstream rejected %s; it is a dead letter now", refusal)

    def _note_failure(self, text: str) -> None:
        if self.last_error is None:
            logger.warning("the upstream does not accept updates: %s; trying again with backoff", text)
        self.last_error = text

    def _settle(self, settled: Settled) -> None:
        self._ledger.submit(settled, lambda _: self._settled(settled.entry))

    def _settled(self, entry: SpoolEntry) -> None:
        if self.forwarder is not None:
            self.forwarder.settled(entry)
            self.pump()


def _headers(
    entry: SpoolEntry, payload: Payload, upstream: UpstreamSettings, relay_id: str, version: str
) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "X-Api-Version": version,
        "X-Request-Id": payload.request_id,
        "X-Relay-Client": entry.key[0],
        "X-Relay-Time": str(payload.origin_ms),
        "X-Relay-Path": ",".join((*payload.path, relay_id)),
    }
    if upstream.token is not None:
        headers["Authorization"] = f"Bearer {upstream.token}"
    return headers


def _dead_letter(entry: SpoolEntry, payload: Payload, response: Response) -> DeadLetter:
    return DeadLetter(
        client=entry.key[0],
        check=entry.key[1],
        request_id=payload.request_id,
        accepted_ms=entry.at_ms,
        refused_ms=time.time_ns() // 1_000_000,
        answer_status=response.status,
        answer=response.body.decode("utf-8", "replace"),
        body=payload.body,
    )
