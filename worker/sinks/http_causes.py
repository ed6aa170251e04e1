"""Why a request had no answer, in plain words. Source: docs/sinks.md, "What the answer means" and "How to see it"."""

import ssl
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from typing import Final

from worker.sinks.resolve import reason
from worker.sinks.waiting_socket import EndlessAnswerError

_MAX_CHARS: Final = 300
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
"""What OpenSSL calls an answer in another protocol."""


def cause_of(error: Exception) -> str:
    """Return what happened: the operating system's reason where there is one."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate cannot be verified: {error.verify_message}"
                " (SSL_CERT_FILE in the daemon's environment names further certificates to trust)"
            )
        case ssl.SSLError() if error.reason in _NO_TLS:
            return "the receiver does not speak TLS"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}"
        case RemoteDisconnected():
            return "the connection was closed without an answer"
        case BadStatusLine():
            return "the answer is not HTTP"
        case TimeoutError() if error.errno is None:
            return "no answer in time"
        case OSError():
            return reason(error)
        case EndlessAnswerError():
            return "the answer has no end"
        case IncompleteRead():
            return "the answer ends too early"
        case HTTPException():
            return "the answer is not HTTP"
    return str(error)[:_MAX_CHARS] or "the answer cannot be read"
