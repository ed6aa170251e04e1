"""How programs of this machine reach a daemon. Source: docs/operating.md, "Start"; docs/http.md."""

from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8080"
API_KEY_VARIABLE: Final = "SONDA_API_KEY"
TIMEOUT_SECS: Final = 35.0
"""How long an answer may take: more than a daemon lets a call take."""
