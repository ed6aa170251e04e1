"""The way to the hosts over Dask.distributed, and the only user of it.

A thread of its own holds the connection to the scheduler, and looks for it again when it is gone. A question is one
task, pinned to one Dask worker and never tried again; whoever asked learns within a second that the worker or the
scheduler has gone, whatever the scheduler would do with the task.

Source: the documentation of distributed, "Client" and "TLS/SSL"; docs/more-than-one-machine.md, "How it works".
"""

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from sondad.host import on_host
from supervisor.fleet.asking import Answer
from supervisor.fleet.members import Facts
from supervisor.fleet.place import FleetError, SchedulerPlace, Trust

_DEFAULT_PORT: Final = 8786
_CONNECT_SECS: Final = 10.0
_REFRESH_SECS: Final = 0.5
_CLOSE_SECS: Final = 5.0
_POLL_SECS: Final = 0.1

try:
    from distributed import CancelledError, Client, KilledWorker, Security
except ImportError as missing:
    raise FleetError(f"a fleet needs Dask.distributed ({missing}): pip install 'sondad[fleet]'") from missing

# What matters of it is said in words of ours; each of its loggers has a level of its own.
for _name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Cluster:
    """The Dask workers of a scheduler.

    Args:
        place: the scheduler.

    Raises:
        FleetError: on entering, when it cannot be reached.
    """

    def __init__(self, place: SchedulerPlace) -> None:
        self._place = place
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._connected: Future[None] = Future()
        self._closing = asyncio.Event()
        self._client: Any = None
        self._workers: frozenset[str] = frozenset()
        self._trouble = "the scheduler is gone"

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._connected.result()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def workers(self) -> frozenset[str]:
        """Return the addresses of the Dask workers that there are now; none without a scheduler."""
        return self._workers

    def ask(self, worker: str, action: str, request: Facts, timeout_secs: float) -> "Question":
        """Send a question to one Dask worker; it is never sent again.

        Args:
            worker: its address.
            action: of `supervisor.fleet.actions`.
            request: plain data.
            timeout_secs: after which it counts as unanswered.
        """
        return Question(asyncio.run_coroutine_threadsafe(self._ask(worker, action, request, timeout_secs), self._loop))

    def _close(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_CLOSE_SECS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                await self._hold(self._place.address())
            except FleetError as exc:
                self._fail(exc)
            except (OSError, TimeoutError, ImportError) as exc:
                why = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc) or "no answer"
                self._fail(FleetError(f"no scheduler at {self._place.address()}: {why}"))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _REFRESH_SECS)

    def _fail(self, error: FleetError) -> None:
        self._trouble = str(error)
        if not self._connected.done():
            self._connected.set_exception(error)

    async def _hold(self, address: str) -> None:
        """Keep one connection until it breaks or is not needed any more."""
        await _knock(address)
        client = await Client(
            address,
            asynchronous=True,
            security=None if self._place.trust is None else security_of(self._place.trust),
            timeout=_CONNECT_SECS,
            set_as_default=False,
            name="sondad-fleet",
        )
        try:
            self._workers = await _workers_of(client)
            self._client = client
            if not self._connected.done():
                self._connected.set_result(None)
            while client.status == "running" and not self._closing.is_set():
                self._workers = await _workers_of(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _REFRESH_SECS)
        finally:
            self._trouble = f"the scheduler at {address} is gone"
            self._client, self._workers = None, frozenset()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(client.close(timeout=1), _CLOSE_SECS)

    async def _ask(self, worker: str, action: str, request: Facts, timeout_secs: float) -> Answer:
        client, sent_ns = self._client, time.time_ns()
        deadline = time.monotonic() + timeout_secs
        if client is None:
            return _silence(self._trouble, sent_ns)
        if worker not in self._workers:
            return _silence(f"its Dask worker {worker} is gone", sent_ns)
        future = client.submit(
            on_host, action, request, workers=[worker], allow_other_workers=False, retries=0, pure=False
        )
        waiting = asyncio.ensure_future(_result_of(future))
        while not (await asyncio.wait({waiting}, timeout=_POLL_SECS))[0]:
            trouble = None
            if self._client is not client:
                trouble = self._trouble
            elif worker not in self._workers:
                trouble = f"its Dask worker {worker} is gone"
            elif time.monotonic() > deadline:
                trouble = f"its Dask worker {worker} does not answer within {timeout_secs:g} s"
            if trouble is not None:
                waiting.cancel()
                return _silence(trouble, sent_ns)
        return _answer_of(waiting, worker, sent_ns)


class Question:
    """A question on its way.

    Args:
        reply: where the answer comes.
    """

    def __init__(self, reply: "Future[Answer]") -> None:
        self._reply = reply

    def answer(self) -> Answer | None:
        """Return the answer, or None as long as there is none; never waits."""
        return self._reply.result() if self._reply.done() else None


def security_of(trust: Trust) -> Security:
    """Return certificates as a client of Dask takes them; nothing goes unencrypted then."""
    return Security(
        tls_ca_file=str(Path(trust.ca).absolute()),
        tls_client_cert=str(Path(trust.cert).absolute()),
        tls_client_key=str(Path(trust.key).absolute()),
        require_encryption=True,
    )


async def _knock(address: str) -> None:
    """Find out at once whether nobody listens; Dask tries for as long as it may."""
    parts = urlsplit(address)
    connecting = asyncio.open_connection(parts.hostname, parts.port or _DEFAULT_PORT)
    _, writer = await asyncio.wait_for(connecting, _CONNECT_SECS)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _workers_of(client: Any) -> frozenset[str]:
    identity = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), _CONNECT_SECS)
    return frozenset(identity["workers"])


async def _result_of(future: Any) -> tuple[Facts, int]:
    return await future, time.time_ns()


def _answer_of(waiting: "asyncio.Task[tuple[Facts, int]]", worker: str, sent_ns: int) -> Answer:
    try:
        told, came_ns = waiting.result()
    except (asyncio.CancelledError, CancelledError, KilledWorker, OSError, TimeoutError):
        return _silence(f"its Dask worker {worker} is gone", sent_ns)
    except ImportError as exc:
        return Answer(None, f"sondad is not installed beside its Dask worker: {exc}", False, sent_ns, time.time_ns())
    except Exception as exc:  # noqa: BLE001 - whatever a task of another version may raise
        return Answer(None, f"its Dask worker {worker}: {type(exc).__name__}: {exc}", False, sent_ns, time.time_ns())
    return Answer(told.get("done"), told.get("fault", ""), told.get("is_silent", False), sent_ns, came_ns)


def _silence(why: str, sent_ns: int) -> Answer:
    return Answer(None, why, True, sent_ns, time.time_ns())
