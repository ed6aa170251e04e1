"""Compiling texts in tests: the plan of one, or the status and detail of its refusal."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import CompileError
from common.plan import Plan
from supervisor.compiler import BodyFormat, Context, compile_scenario, prepare

FAILED = "v2 scenario body failed to compile: "
TYPED = f"{FAILED}parse error: YAML parse error: "


class Refusal(NamedTuple):
    """The status and the detail that a client gets."""

    status: int
    detail: str


def plan_of(
    text: str | bytes,
    form: BodyFormat = BodyFormat.YAML,
    environment: dict[str, str] | None = None,
    allowed: tuple[Path, ...] = (),
) -> Plan:
    """Compile and prepare a text; raises what they raise."""
    payload = text if isinstance(text, bytes) else text.encode()
    context = Context(environment=environment or {}, allowed_paths=allowed)
    return prepare(compile_scenario(payload, form, context), context)


def refusal_of(
    text: str | bytes,
    form: BodyFormat = BodyFormat.YAML,
    environment: dict[str, str] | None = None,
    allowed: tuple[Path, ...] = (),
) -> Refusal:
    """Return how a text is refused; fails when it is accepted."""
    try:
        plan_of(text, form, environment, allowed)
    except CompileError as exc:
        return Refusal(exc.status, exc.detail)
    raise AssertionError(f"accepted: {text!r}")


def entry(**fields: Any) -> dict[str, Any]:
    """Return a metrics entry that compiles, with `fields` put in or, where None, taken out."""
    written = {
        "id": "up",
        "signal_type": "metrics",
        "name": "up",
        "rate": 10,
        "generator": {"type": "constant", "value": 1},
    } | fields
    return {key.removesuffix("_"): value for key, value in written.items() if value is not None}


def body(*entries: dict[str, Any], **fields: Any) -> str:
    """Return a JSON body of these entries, which is YAML as well."""
    return json.dumps({"version": 2, **fields, "scenarios": list(entries)})
