"""An entry as clients see it in `GET /scenarios/{id}`: the file's key names, what is not set left out, secrets masked.

Source: docs/http.md, "List and show".
"""

from typing import Any, Final

import msgspec

from common.specs import Spec
from common.urls import MASK, shown_headers, shown_url
from supervisor.compiler.compiled import CompiledEntry

_SHOWN_WITHOUT_VALUE: Final = frozenset({"duration"})
ADDRESS_FIELDS: Final = frozenset({"url", "address", "endpoint", "brokers"})
"""Fields that may hold a password as a part of their text."""


def client_config(entry: CompiledEntry, scenario_name: str | None) -> dict[str, Any]:
    """Return the entry as builtins; numbers stay floats where the language has floats."""
    config: dict[str, Any] = {
        key: value
        for key, value in msgspec.to_builtins(entry).items()
        if key in _SHOWN_WITHOUT_VALUE or (value is not None and key != "clock_group_auto")
    }
    config["sink"] = _masked(entry.sink, config["sink"])
    if scenario_name is not None:
        config["scenario_name"] = scenario_name
    return config


def _masked(spec: Spec, written: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a block as they are shown; `written` are those that are set, as builtins."""
    return {name: _shown(spec, name, value) for name, value in written.items()}


def _shown(spec: Spec, name: str, value: Any) -> Any:
    if name in spec.secrets:
        return MASK
    if name in spec.secret_entries:
        return shown_headers(value)
    if isinstance(value, str):
        return shown_url(value) if name in ADDRESS_FIELDS else value
    inner = getattr(spec, name, None)
    return _masked(inner, value) if isinstance(inner, Spec) else value
