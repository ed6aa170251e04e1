"""Whose web pages may drive the daemon: what a browser says about where a request comes from.

A daemon without a key trusts everybody who reaches it, and a browser on the same machine reaches it for any page that
it shows. So without a key a page of another origin is refused, and, on loopback, a host name that is not ours: a page
can let its own name resolve to 127.0.0.1. Source: Fetch standard, "CORS protocol" and "Sec-Fetch-Site"; RFC 6454.
"""

import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import falcon

from supervisor.http.errors import Forbidden

_ALLOWED_METHODS: Final = "GET, HEAD, POST, PATCH, DELETE"
_ALLOWED_HEADERS: Final = "Authorization, Content-Type"
_PREFLIGHT_SECS: Final = "600"

Header = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Origins:
    """Which origins and hosts are ours.

    Attributes:
        is_guarded: whether requests of foreign pages are refused: there is no key.
        is_local: whether the daemon listens on loopback only, so that it knows its own names.
        allowed_origins: of dashboards that may ask and read the answers.
        allowed_hosts: names that clients may call the daemon by, besides IP addresses and localhost.
    """

    is_guarded: bool = False
    is_local: bool = False
    allowed_origins: Collection[str] = ()
    allowed_hosts: Collection[str] = ()

    def check(self, header: Header) -> None:
        """Refuse a request that a foreign page makes.

        Raises:
            Forbidden: says what to allow.
        """
        if not self.is_guarded:
            return
        host, origin = (header("Host") or "").lower(), header("Origin")
        if self.is_local and not self._is_ours(_name(host)):
            raise Forbidden(f"host '{_name(host)}' is not this daemon's: use an IP address, or --allow-host")
        if origin in self.allowed_origins:
            return
        if origin is not None and origin.lower().partition("://")[2] != host:
            raise Forbidden(f"origin '{origin}' may not drive this daemon: see --allow-origin")
        if (header("Sec-Fetch-Site") or "").lower() == "cross-site":
            raise Forbidden("a page of another site may not drive this daemon: see --allow-origin")

    def answers_preflight(self, req: falcon.Request, resp: falcon.Response) -> bool:
        """Answer the question that a browser asks before a page's request; False when it is none."""
        is_asked = req.method == "OPTIONS" and req.get_header("Access-Control-Request-Method") is not None
        if not is_asked or req.get_header("Origin") not in self.allowed_origins:
            return False
        resp.status = falcon.HTTP_NO_CONTENT
        resp.set_header("Access-Control-Allow-Methods", _ALLOWED_METHODS)
        resp.set_header("Access-Control-Allow-Headers", _ALLOWED_HEADERS)
        resp.set_header("Access-Control-Max-Age", _PREFLIGHT_SECS)
        return True

    def mark(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let a page of an allowed origin read the answer."""
        if not self.allowed_origins:
            return
        resp.append_header("Vary", "Origin")
        origin = req.get_header("Origin")
        if origin in self.allowed_origins:
            resp.set_header("Access-Control-Allow-Origin", str(origin))

    def _is_ours(self, name: str) -> bool:
        if name in ("", "localhost") or name.endswith(".localhost") or name in self.allowed_hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    """Return the host of `host:port`."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
