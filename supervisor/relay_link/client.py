"""What the control plane knows of the relay: its admin socket, asked within a bound.

Runs in the control plane's process, on its HTTP threads.

Source: docs/relay.md, "Beside the control plane".
"""

from typing import Final

from common.errors import SondadError
from supervisor.host.roundtrip import Response, RoundtripError, roundtrip, unix_target

TIMEOUT_SECS: Final = 1.0
PING_SECS: Final = 0.25
_MAX_ANSWER_BYTES: Final = 256 << 20


class RelayUnavailableError(SondadError):
    """The relay is absent or does not answer in time."""


class RelayClient:
    """Asks the admin socket at `admin_path`; no state, so any thread may use it."""

    def __init__(self, admin_path: str, timeout_secs: float = TIMEOUT_SECS) -> None:
        self._target = unix_target(admin_path)
        self._timeout_secs = timeout_secs

    def answers(self) -> bool:
        """Return whether the relay answers, and does so at once."""
        try:
            return self._get("/ping", PING_SECS).status == 200
        except RoundtripError:
            return False

    def get(self, path: str) -> Response:
        """Return the answer to `GET path`; `path` is percent-encoded.

        Raises:
            RelayUnavailableError: no answer within the timeout.
        """
        try:
            return self._get(path, self._timeout_secs)
        except RoundtripError as exc:
            raise RelayUnavailableError(f"the relay does not answer: {exc}") from exc

    def _get(self, path: str, timeout_secs: float) -> Response:
        return roundtrip(self._target, "GET", path, timeout_secs=timeout_secs, max_body_bytes=_MAX_ANSWER_BYTES)
