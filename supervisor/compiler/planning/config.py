"""An entry as clients see it in `GET /scenarios/{id}`: the file's key names, what is not set left out, secrets masked.

Source: docs/http.md, "List and show".
"""

from typing import Any, Final

import msgspec

from common.urls import MASK, mask_userinfo
from supervisor.compiler.compiled import CompiledEntry

_SHOWN_WITHOUT_VALUE: Final = frozenset({"duration"})
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_SECRET_WORDS: Final = ("token", "secret", "password", "api-key")


def client_config(entry: CompiledEntry, scenario_name: str | None) -> dict[str, Any]:
    """Return the entry as builtins; numbers stay floats where the language has floats."""
    config: dict[str, Any] = {
        key: value
        for key, value in msgspec.to_builtins(entry).items()
        if key in _SHOWN_WITHOUT_VALUE or (value is not None and key != "clock_group_auto")
    }
    config["sink"] = _masked(config["sink"])
    if scenario_name is not None:
        config["scenario_name"] = scenario_name
    return config


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
