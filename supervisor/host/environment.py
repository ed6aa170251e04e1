"""Which variables of the daemon's environment others see: posted bodies, and its own child processes.

Source: docs/operating.md, "Environment".
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

ALWAYS_READABLE: Final = "SONDA_VAR_*"
"""Names that are given to scenarios on purpose."""

_SECRET_NAME: Final = re.compile(
    "KEY|TOKEN|SECRET|PASS|PWD|CRED|AUTH|COOKIE|DSN|DATABASE_URL|PRIVATE|SESSION|SIGN|SALT|CERT|CONNECTION_STRING|WEBHOOK",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"://[^/?#\s]*@")

_PASSED_ON: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "TZDIR", "LANG", "LANGUAGE", "LC_*"),
    *("PYTHON*", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "COVERAGE_*", "COV_*"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES"),
    *("JOURNAL_STREAM", "RUST_LOG", "MALLOC_*", "GRPC_*"),
)


def readable(environment: Mapping[str, str], patterns: Sequence[str], *, all_but_secrets: bool) -> dict[str, str]:
    """Return what `${NAME}` in a posted body may stand for.

    Args:
        environment: of the daemon.
        patterns: names and globs that are allowed besides `ALWAYS_READABLE`.
        all_but_secrets: allow every variable that does not look like a secret, unless `patterns` narrows them down.
    """
    if all_but_secrets and not patterns:
        return {name: value for name, value in environment.items() if not looks_secret(name, value)}
    allowed = (ALWAYS_READABLE, *patterns)
    return {name: value for name, value in environment.items() if _matches(name, allowed)}


def looks_secret(name: str, value: str) -> bool:
    """Say whether a variable is probably not for everybody: by its name, or because it is a URL with a login."""
    if _matches(name, (ALWAYS_READABLE,)):
        return False
    return bool(_SECRET_NAME.search(name) or _LOGIN.search(value))


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what processes that make and deliver events need of the daemon's environment."""
    return {name: value for name, value in environment.items() if _matches(name, _PASSED_ON)}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
