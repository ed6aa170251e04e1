"""What the control plane knows of the relay: its admin socket, asked within a bound.

Runs in the control plane's process, on its HTTP threads.

Source: docs/relay.md, "Beside the control plane".
"""

from typing import Final

from common.errors import SondadError
from supervisor.relay.config.records import Target
from supervisor.relay.upstream.roundtrip import Response, RoundtripError, roundtrip

TIMEOUT_SECS: Final = 1.0
PING_SECS: Final = 0.25
_MAX_ANSWER_BYTES: Final = 256 << 20


class RelayUnavailableError(SondadError):
    """The relay is absent or does not answer in time."""


class RelayClient:
    """Asks the admin socket at `admin_path`; no state, so any thread may use it."""

    def __init__(self, admin_path: str, timeout_secs: float = TIMEOUT_SECS) -> None:
        self._target = Target(
            url=f"unix:{admin_path}", scheme="unix", host="localhost", port=0, path=admin_path, prefix=""
        )
        self._timeout_secs = timeout_secs

    def answers(self) -> bool:
        """Return whether the relay answers, and does so at once."""
        try:
            return roundtrip(self._target, _request("/ping"), PING_SECS, _MAX_ANSWER_BYTES).status == 200
        except RoundtripError:
            return False

    def get(self, path: str) -> Response:
        """Return the answer to `GET path`; `path` is percent-encoded.

        Raises:
            RelayUnavailableError: no answer within the timeout.
        """
        try:
            return roundtrip(self._target, _request(path), self._timeout_secs, _MAX_ANSWER_BYTES)
        except RoundtripError as exc:
            raise RelayUnavailableError(f"the relay does not answer: {exc}") from exc


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("ascii")
