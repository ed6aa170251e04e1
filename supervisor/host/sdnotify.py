"""What the daemon tells the service manager that started it: ready, alive, stopping.

Sent by the main loop alone, never by a helper thread: an answer must mean that the loop turns.

Source: sd_notify(3) and sd_watchdog_enabled(3) of systemd.
"""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import Final

_log: Final = logging.getLogger(__name__)


class ServiceManager:
    """The service manager's notification socket, or none when the daemon was started by hand.

    Args:
        environment: the process's own; NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are taken out of it, so that no
            child can answer for the daemon.

    Attributes:
        watchdog_period_secs: how often `alive` is due, half of what the manager tolerates; None when it asks for none.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        timeout_us = environment.pop("WATCHDOG_USEC", "")
        watched_pid = environment.pop("WATCHDOG_PID", "")
        # A leading "@" names a socket of the abstract namespace.
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        watched = bool(address) and timeout_us.isdecimal() and watched_pid in ("", str(os.getpid()))
        self._status = ""
        self.watchdog_period_secs = int(timeout_us) / 2e6 if watched and int(timeout_us) > 0 else None

    def ready(self) -> None:
        """Say that the daemon serves."""
        self._send("READY=1")

    @property
    def is_there(self) -> bool:
        """Whether a manager listens."""
        return bool(self._address)

    def status(self, text: str) -> None:
        """Say in one line what the daemon does, when that has changed; `systemctl status` shows it."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def reloading(self, now_ns: int) -> None:
        """Say that the daemon has begun to reload, at an instant of the monotonic clock; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        """Say that the daemon is stopping."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                # A manager that does not read must not hold up the loop.
                connection.setblocking(False)
                connection.sendto(state.encode(), self._address)
        except OSError as exc:
            _log.warning("cannot tell the service manager %s: %s", state, exc)
