"""Why a request had no answer, in plain words. Source: sinks contract, sections 5 and 12."""

import socket
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import Final

from common.errors import os_error_text

_MAX_CHARS: Final = 300
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
"""What OpenSSL calls an answer in another protocol."""


def cause_of(error: BaseException) -> str:
    """Return what happened: the operating system's reason where there is one."""
    for exc in _chain(error):
        match exc:
            case ssl.SSLCertVerificationError():
                return (
                    f"the certificate cannot be verified: {exc.verify_message}"
                    " (SSL_CERT_FILE in the daemon's environment names further certificates to trust)"
                )
            case ssl.SSLError() if exc.reason in _NO_TLS:
                return "the receiver does not speak TLS"
            case ssl.SSLError():
                return f"TLS failed: {exc.reason or exc}"
            case TimeoutError():
                return "timed out"
            case socket.gaierror():
                return f"the host name cannot be resolved: {exc.strerror}"
            case RemoteDisconnected():
                return "the connection was closed without an answer"
            case BadStatusLine():
                return "the answer is not HTTP"
            case OSError() if exc.errno is not None:
                return os_error_text(exc)
            case HTTPException():
                return f"the answer cannot be read: {type(exc).__name__}"
    return str(error)[:_MAX_CHARS] or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield what `error` was raised from, the origin first."""
    chain = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    return reversed(chain)
