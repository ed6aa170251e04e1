"""Finds the relay's sockets and hands over a report, again and again with one request id until it is accepted.

Source: docs/relay.md, "Reports" and "What a 202 means".
"""

import os
import socket
import stat
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from common.units import clip
from supervisor.cli.failures import MISUSED, CommandError
from supervisor.host.roundtrip import Response, RoundtripError, roundtrip, unix_target
from supervisor.relay.upstream.forwarder import Result, asked_wait_secs, classify

SOCKET_VARIABLE: Final = "SONDAD_SOCKET"
RUN_DIR: Final = "/run/sondad/relay"
_FIRST_WAIT_SECS: Final = 0.1
_MAX_WAIT_SECS: Final = 2.0
_MAX_ATTEMPT_SECS: Final = 10.0
_MAX_ANSWER_BYTES: Final = 4096
_MAX_LINE_BYTES: Final = 4096
_NOTIFY_SECS: Final = 10.0


def client_socket(given: str | None, client: str | None, environment: Mapping[str, str]) -> str:
    """Return the socket to report to: the given one, that of a client, `$SONDAD_SOCKET`, or the only one of this user.

    Raises:
        CommandError: there is none, or more than one; names what there is.
    """
    if given is not None:
        return given
    folder = Path(RUN_DIR, "clients")
    if client is not None:
        return str(folder / f"{client}.sock")
    if environment.get(SOCKET_VARIABLE):
        return environment[SOCKET_VARIABLE]
    sockets = _sockets_in(folder)
    mine = [path for path, uid in sockets.items() if uid == os.geteuid()] or list(sockets)
    if len(mine) == 1:
        return mine[0]
    names = ", ".join(Path(path).stem for path in mine) or "none"
    raise CommandError(
        f"which socket? clients in {folder}: {names}; say --client NAME or --socket PATH, or set {SOCKET_VARIABLE}",
        MISUSED,
    )


def report(path: str, check: str, body: Mapping[str, Any], timeout_secs: float) -> None:
    """Report `body` until the relay has accepted it.

    Raises:
        CommandError: it refused the report, or did not accept it in time.
    """
    deadline = time.monotonic() + timeout_secs
    headers = {"Content-Type": "application/json", "X-Request-Id": str(uuid.uuid4())}
    content = msgspec.json.encode(body)
    wait_secs = _FIRST_WAIT_SECS
    while True:
        try:
            answer = roundtrip(
                unix_target(path),
                "POST",
                f"/checks/{quote(check, safe='')}",
                timeout_secs=max(min(deadline - time.monotonic(), _MAX_ATTEMPT_SECS), 0.01),
                max_body_bytes=_MAX_ANSWER_BYTES,
                headers=headers,
                body=content,
            )
        except RoundtripError as exc:
            reason, asked_secs = str(exc), 0.0
        else:
            result = classify(answer.status)
            if result is Result.OK:
                return
            reason = _reason(answer)
            if result is not Result.RETRY:
                raise CommandError(f"{path} refused the report: {reason}")
            asked_secs = asked_wait_secs(answer.headers.get("retry-after"), time.time())
        pause_secs = max(wait_secs, min(asked_secs, _MAX_WAIT_SECS))
        if time.monotonic() + pause_secs >= deadline:
            raise CommandError(f"the report was not accepted within {timeout_secs:g} s: {reason}")
        time.sleep(pause_secs)
        wait_secs = min(2 * wait_secs, _MAX_WAIT_SECS)


def notify(path: str | None, client: str, command: str) -> None:
    """Tell the relay to open (`start`) or close (`stop`) the socket of a client.

    Raises:
        CommandError: it does not answer, or says why it did not.
    """
    path = path or f"{RUN_DIR}/notify.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_NOTIFY_SECS)
            sock.connect(path)
            sock.sendall(f"{client}:{command}".encode())
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(_MAX_LINE_BYTES).decode("utf-8", "replace").strip()
    except TimeoutError as exc:
        raise CommandError(f"{path}: no answer within {_NOTIFY_SECS:g} s") from exc
    except (OSError, ValueError) as exc:
        text = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise CommandError(f"{path}: {text}; is the relay running?") from exc
    if answer != "ok":
        raise CommandError(f"{path}: {clip(answer) or 'closed without an answer: this user may not notify'}")


def _sockets_in(folder: Path) -> dict[str, int]:
    """Return the sockets in `folder` with their owners."""
    try:
        found = {str(path): path.lstat() for path in sorted(folder.iterdir())}
    except OSError:
        return {}
    return {path: status.st_uid for path, status in found.items() if stat.S_ISSOCK(status.st_mode)}


class _RelayError(msgspec.Struct):
    code: str
    message: str


def _reason(answer: Response) -> str:
    try:
        error = msgspec.json.decode(answer.body, type=_RelayError)
    except msgspec.MsgspecError:
        return f"status {answer.status}"
    return f"{answer.status} {error.code}, {error.message}"
