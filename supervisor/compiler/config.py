"""An entry as clients see it in `GET /scenarios/{id}`: the file's key names, what is not set left out, secrets masked.

Source: HTTP contract, section 10.
"""

import re
from typing import Any, Final

import msgspec

from supervisor.compiler.compiled import CompiledEntry

MASK: Final = "***"
_SHOWN_WITHOUT_VALUE: Final = frozenset({"duration"})
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_SECRET_WORDS: Final = ("token", "secret", "password", "api-key")
# Greedy up to the last @ before the path, as the host is found behind it.
_USERINFO: Final = re.compile(r"^([^/?#]*://[^/?#:]*):[^/?#]*@")


def client_config(entry: CompiledEntry, scenario_name: str | None) -> dict[str, Any]:
    """Return the entry as builtins; numbers stay floats where the language has floats."""
    config: dict[str, Any] = {
        key: value
        for key, value in msgspec.to_builtins(entry).items()
        if value is not None or key in _SHOWN_WITHOUT_VALUE
    }
    config["sink"] = _masked(config["sink"])
    if scenario_name is not None:
        config["scenario_name"] = scenario_name
    return config


def mask_userinfo(url: str) -> str:
    """Return `url` with the password of its userinfo masked."""
    return _USERINFO.sub(rf"\1:{MASK}@", url)


def _masked(sink: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        key: mask_userinfo(value) if isinstance(value, str) else value for key, value in sink.items()
    }
    if "headers" in shown:
        shown["headers"] = {
            name: MASK if _is_secret(name.lower()) else value for name, value in shown["headers"].items()
        }
    if "sasl" in shown:
        shown["sasl"] = shown["sasl"] | {"password": MASK}
    return shown


def _is_secret(header: str) -> bool:
    return header in _SECRET_HEADERS or any(word in header for word in _SECRET_WORDS)
