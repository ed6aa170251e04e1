"""What a task does on a host: it asks the daemon there, over HTTP on the host itself.

Runs in a Dask worker. Requests and results are plain data. Every action is short and can be asked again; only `begin`
changes something that a second one would change twice, and it is asked once.

Source: docs/more-than-one-machine.md, "How it works"; docs/http.md, "Start", "Stats" and "Stop".
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from common.errors import SondadError, os_error_text
from common.urls import shown_url
from supervisor.fleet.members import Facts
from supervisor.host.daemon_address import API_KEY_VARIABLE, DEFAULT_URL, TIMEOUT_SECS
from supervisor.host.roundtrip import Response, RoundtripError, Target, roundtrip

URL_VARIABLE: Final = "SONDAD_URL"
KEY_FILE_VARIABLE: Final = "SONDA_API_KEY_FILE"

_LOOK_SECS: Final = 10.0
_ENDING: Final = 16
"""How many scenarios are stopped at a time."""

_MAX_ANSWER_BYTES: Final = 256 << 20
_BUILD: Final = re.compile(rb'^sonda_server_build_info\{version="([^"]*)",git_sha="([^"]*)"\}', re.MULTILINE)


class ActionError(SondadError):
    """An action that failed.

    Attributes:
        is_silent: whether the daemon did not answer at all, so that it may be gone.
    """

    def __init__(self, message: str, *, is_silent: bool = False) -> None:
        super().__init__(message)
        self.is_silent = is_silent


def perform(action: str, request: Facts) -> Facts:
    """Do something by the daemon of this host; returns `done`, or `fault` and `is_silent`."""
    host = socket.gethostname()
    found = ACTIONS.get(action)
    if found is None:
        fault = f"{host}: no action '{action}': the version of sondad there is another"
        return {"fault": fault, "is_silent": False}
    try:
        return {"done": found(_Daemon(os.environ), request)}
    except ActionError as exc:
        return {"fault": f"{host}: {exc}", "is_silent": exc.is_silent}


class _Daemon:
    """The daemon of this host, as the environment of the Dask worker names it.

    Raises:
        ActionError: it is named wrongly, or its key cannot be read.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.url = environment.get(URL_VARIABLE) or DEFAULT_URL
        try:
            parts = urlsplit(self.url)
            port = parts.port or 80
        except ValueError as exc:
            raise ActionError(f"{URL_VARIABLE}: {exc}") from exc
        if parts.scheme != "http" or not parts.hostname or parts.username is not None:
            raise ActionError(f"{URL_VARIABLE}: {shown_url(self.url)}: expected http://HOST:PORT of this host's daemon")
        self.host, self.port = parts.hostname, port
        self._target = Target(
            url=self.url, scheme="http", host=self.host, port=port, path="", prefix=parts.path.rstrip("/")
        )
        self._headers = {"Authorization": f"Bearer {key}"} if (key := _key(environment)) else {}

    def ask(self, method: str, path: str, body: bytes | None = None, *, timeout_secs: float = TIMEOUT_SECS) -> Facts:
        """Return the JSON of an answer.

        Raises:
            ActionError: there is none, or it is an error.
        """
        return self.told(self.answer(method, path, body, timeout_secs))

    def told(self, answer: Response) -> Facts:
        """Return the JSON of an answer.

        Raises:
            ActionError: it is an error.
        """
        told: Facts = {}
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            told = msgspec.json.decode(answer.body, type=Facts)
        if answer.status >= 400:
            raise ActionError(f"{shown_url(self.url)}: {_refusal(answer.status, told)}")
        return told

    def answer(self, method: str, path: str, body: bytes | None, timeout_secs: float) -> Response:
        """Return an answer, whatever it is.

        Raises:
            ActionError: there is none.
        """
        headers = self._headers | ({} if body is None else {"Content-Type": "application/yaml"})
        try:
            return roundtrip(
                self._target,
                method,
                path,
                timeout_secs=timeout_secs,
                max_body_bytes=_MAX_ANSWER_BYTES,
                headers=headers,
                body=body,
            )
        except RoundtripError as exc:
            raise ActionError(f"no daemon at {exc}", is_silent=True) from exc


def _introduce(daemon: _Daemon, _request: Facts) -> Facts:
    """Say which daemon this is, its version, and what the clock of the host reads."""
    answer = daemon.answer("GET", "/metrics", None, _LOOK_SECS)
    if answer.status == 401:
        raise ActionError(f"{shown_url(daemon.url)} wants an API key: set {API_KEY_VARIABLE} or {KEY_FILE_VARIABLE}")
    build = _BUILD.search(answer.body)
    if answer.status != 200 or build is None:
        raise ActionError(f"{shown_url(daemon.url)} is no daemon of ours: GET /metrics answered {answer.status}")
    return {
        "place": _place(daemon.host, daemon.port),
        "host": socket.gethostname(),
        "url": shown_url(daemon.url),
        "installed": metadata.version("sondad"),
        "version": build[1].decode(),
        "commit": build[2].decode(),
        "clock_ns": time.time_ns(),
    }


def _rehearse(daemon: _Daemon, request: Facts) -> Facts:
    """Let the daemon check a body and its segment; nothing is started."""
    began = time.monotonic()
    answer = daemon.ask(
        "POST", f"/scenarios?{urlencode(request['query'] | {'dry_run': 'true', 'preview_secs': '0'})}", _body(request)
    )
    return {"segment": answer["segment"], "took_secs": time.monotonic() - began}


def _begin(daemon: _Daemon, request: Facts) -> Facts:
    """Start a segment."""
    return daemon.ask("POST", f"/scenarios?{urlencode(request['query'])}", _body(request))


def _look(daemon: _Daemon, request: Facts) -> Facts:
    """Return the figures of scenarios; null for one that the daemon does not have."""
    listed = {one["id"]: one for one in _listed(daemon)}
    return {"scenarios": [listed.get(scenario_id) for scenario_id in request["ids"]]}


def _end(daemon: _Daemon, request: Facts) -> Facts:
    """Stop scenarios and remove them; returns their last figures, null for one that the daemon does not have."""
    listed = {one["id"]: one for one in _listed(daemon)}

    def ended(scenario_id: str) -> Facts | None:
        answer = daemon.answer("DELETE", f"/scenarios/{quote(scenario_id, safe='')}?stats=true", None, TIMEOUT_SECS)
        before = listed.get(scenario_id)
        return before if before is None or answer.status == 404 else before | daemon.told(answer)["stats"]

    with ThreadPoolExecutor(_ENDING) as threads:
        return {"scenarios": list(threads.map(ended, request["ids"]))}


def _survey(daemon: _Daemon, _request: Facts) -> Facts:
    """Return all scenarios of the daemon with their figures."""
    return {"scenarios": _listed(daemon)}


ACTIONS: Final[dict[str, Callable[[_Daemon, Facts], Facts]]] = {
    "introduce": _introduce,
    "rehearse": _rehearse,
    "begin": _begin,
    "look": _look,
    "end": _end,
    "survey": _survey,
}


def _listed(daemon: _Daemon) -> list[Facts]:
    listed = daemon.ask("GET", "/scenarios?stats=1", timeout_secs=_LOOK_SECS)["scenarios"]
    return [{name: one[name] for name in ("id", "name", "segment", "exit_reason")} | one["stats"] for one in listed]


def _body(request: Facts) -> bytes:
    return str(request["body"]).encode()


def _refusal(status: int, told: Facts) -> str:
    faults = told.get("faults") or []
    if faults:
        return "; ".join(str(fault["message"]) for fault in faults)
    return str(told.get("detail") or told.get("error") or f"the daemon answered {status}")


def _place(host: str, port: int) -> str:
    """Return what two names of one daemon have in common, and two daemons have not."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    network = Path("/proc/self/ns/net").stat().st_ino
    return f"{boot}/{network}/{socket.gethostbyname(host)}:{port}"


def _key(environment: Mapping[str, str]) -> str | None:
    path = environment.get(KEY_FILE_VARIABLE)
    if not path:
        return environment.get(API_KEY_VARIABLE) or None
    try:
        return Path(path).read_text().strip() or None
    except OSError as exc:
        raise ActionError(f"{KEY_FILE_VARIABLE}: {path}: {os_error_text(exc)}") from exc
