"""Bearer authentication.

Source: docs/http.md, "The key".
"""

import hmac

from supervisor.http.errors import Unauthorized


def check_authorization(header: str | None, api_key: str) -> None:
    """Accept a request that carries the key; the comparison takes the same time wherever the token differs.

    Args:
        header: value of `Authorization`, or None without one.
        api_key: the configured key, not empty.

    Raises:
        Unauthorized: no bearer token, or not this key.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise Unauthorized("missing or malformed Authorization header")
    if not hmac.compare_digest(token.encode(), api_key.encode()):
        raise Unauthorized("invalid API key")
