"""Queries against the HTTP API of Prometheus and Alertmanager. Source: their API references, "v1" and "v2"."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from common.errors import SondadError
from common.urls import shown_url
from supervisor.cli.fetch import REDACTED, Fetched, FetchError, fetch


class QueryError(SondadError):
    """A query without a usable answer; the text names the address."""


def endpoint_of(base: str, path: str) -> str:
    """Return the address of a call, without slashes doubled."""
    return base.rstrip("/") + path


def get(
    endpoint: str,
    parameters: Sequence[tuple[str, str]],
    timeout_secs: float,
    headers: Sequence[tuple[str, str]] = (),
) -> Fetched:
    """Return the answer to a GET that succeeded.

    Raises:
        QueryError: it did not.
    """
    shown = shown_url(endpoint, REDACTED)
    query = f"?{urlencode(parameters)}" if parameters else ""
    try:
        fetched = fetch(endpoint + query, timeout_secs, headers=headers)
    except FetchError as exc:
        raise QueryError(f"verification error: query against {shown} failed: {exc}") from exc
    if not 200 <= fetched.status < 300:
        said = _error_of(fetched.body)
        raise QueryError(
            f"verification error: query against {shown} failed: status {fetched.status} {fetched.reason}{said}"
        )
    return fetched


def json_of(endpoint: str, body: bytes) -> Any:
    """Return the JSON of an answer.

    Raises:
        QueryError: it is none.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise unusable(endpoint, f"not valid JSON: {exc}") from exc


def prometheus_data(endpoint: str, body: bytes) -> dict[str, Any]:
    """Return the `data` of an answer of Prometheus.

    Raises:
        QueryError: it is none, or says that the query failed.
    """
    answer = json_of(endpoint, body)
    if not isinstance(answer, dict):
        raise unusable(endpoint, "not a JSON object")
    if answer.get("status") != "success":
        kind = answer.get("errorType", "unknown")
        raise unusable(
            endpoint, f'query failed (status "{answer.get("status")}", errorType {kind}): {answer.get("error", "")}'
        )
    data = answer.get("data")
    return data if isinstance(data, dict) else {}


def unusable(endpoint: str, reason: str) -> QueryError:
    """Return the error of an answer that is not what was asked for."""
    return QueryError(f"verification error: unusable response from {shown_url(endpoint, REDACTED)}: {reason}")


def _error_of(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    said = answer.get("error") if isinstance(answer, dict) else None
    return f": {said}" if isinstance(said, str) else ""
