"""Where the scheduler is, and how both sides trust each other.

Whoever reaches the port of a scheduler or a Dask worker can run code there. So it is reached over TLS with certificates
on both sides, or on loopback. Source: docs/more-than-one-machine.md, "TLS".
"""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from common.errors import SondadError, os_error_text

_POLL_SECS: Final = 0.1
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


class FleetError(SondadError):
    """A fleet that cannot be used: no scheduler, no certificate, no Dask."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Certificates for mutual TLS: paths of PEM files.

    Attributes:
        ca: of the authority that has signed those of all hosts.
        cert: of this side.
        key: of that certificate.
    """

    ca: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class SchedulerPlace:
    """Where a scheduler is.

    Attributes:
        given: its address; None when a file has it.
        file: what the scheduler has written.
        trust: None without TLS.
    """

    given: str | None
    file: Path | None
    trust: Trust | None

    def address(self) -> str:
        """Return the address of the scheduler, as it is now; a file is read anew each time.

        Raises:
            FleetError: there is none, or it may not be used.
        """
        address = self._read() if self.given is None else self.given
        parts = urlsplit(address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname:
            raise FleetError(f"the scheduler's address {address}: expected tls://HOST:PORT or tcp://HOST:PORT")
        if parts.scheme == "tls" and self.trust is None:
            raise FleetError(f"the scheduler {address} needs TLS: --tls-ca, --tls-cert and --tls-key name the files")
        if parts.scheme == "tcp" and self.trust is not None:
            raise FleetError(f"the scheduler {address} has no TLS; start it with the same three --tls flags")
        if parts.scheme == "tcp":
            require_loopback(parts.hostname)
        return address

    def await_address(self, timeout_secs: float, check: Callable[[], None] = lambda: None) -> str:
        """Return the address of a scheduler that may be about to start and to write its file.

        Args:
            timeout_secs: how long that may take.
            check: called now and then; raises to break off.

        Raises:
            FleetError: as `address`, in the end.
        """
        deadline = time.monotonic() + timeout_secs
        while True:
            check()
            try:
                return self.address()
            except FleetError:
                if self.file is None or time.monotonic() > deadline or self._is_written():
                    raise
            time.sleep(_POLL_SECS)

    def _is_written(self) -> bool:
        """Whether the file has an address, fit or not."""
        try:
            return bool(self._read())
        except FleetError:
            return False

    def _read(self) -> str:
        if self.file is None:
            raise FleetError("no scheduler is named: --scheduler-file FILE or --scheduler ADDRESS")
        try:
            told: Any = msgspec.json.decode(self.file.read_bytes())
        except OSError as exc:
            raise FleetError(
                f"{self.file}: {os_error_text(exc)}; `sondad fleet scheduler --scheduler-file` writes it"
            ) from exc
        except msgspec.DecodeError as exc:
            raise FleetError(f"{self.file} is no file of a scheduler: {exc}") from exc
        address = told.get("address") if isinstance(told, dict) else None
        if not isinstance(address, str):
            raise FleetError(f"{self.file} is no file of a scheduler: it has no address")
        return address


def place_of(
    scheduler_file: str | None, scheduler: str | None, tls_ca: str | None, tls_cert: str | None, tls_key: str | None
) -> SchedulerPlace:
    """Return the scheduler that the flags name.

    Raises:
        FleetError: a certificate cannot be read.
    """
    return SchedulerPlace(
        scheduler, None if scheduler_file is None else Path(scheduler_file), trust_of(tls_ca, tls_cert, tls_key)
    )


def trust_of(tls_ca: str | None, tls_cert: str | None, tls_key: str | None) -> Trust | None:
    """Return the certificates that the flags name, or None without TLS.

    Raises:
        FleetError: one cannot be read.
    """
    if tls_ca is None or tls_cert is None or tls_key is None:
        return None
    for flag, path in (("--tls-ca", tls_ca), ("--tls-cert", tls_cert), ("--tls-key", tls_key)):
        try:
            Path(path).read_bytes()
        except OSError as exc:
            raise FleetError(f"{flag}: {path}: {os_error_text(exc)}") from exc
    return Trust(tls_ca, tls_cert, tls_key)


def require_loopback(host: str) -> None:
    """Refuse a host that other machines can reach, for a connection without TLS.

    Raises:
        FleetError: it is one.
    """
    if host in _LOCAL_NAMES:
        return
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise FleetError(
            f"{host} is not loopback: whoever reaches the port of a scheduler can run code there, so it needs "
            "--tls-ca, --tls-cert and --tls-key"
        )
