"""`validate` without a daemon: every fault of a file, by the compiler itself."""

import os
from pathlib import Path

import msgspec

from common.errors import CompileError
from supervisor.cli.daemon.client import JsonObject
from supervisor.cli.daemon.posting import print_verdicts, read_file
from supervisor.cli.daemon.tables import print_json
from supervisor.cli.failures import FAILED, OK
from supervisor.compiler import BodyFormat, Context, PackSources, compile_scenario, prepare


def validate_here(files: tuple[str, ...], catalog: Path | None, *, as_json: bool) -> int:
    """Check files as `run` would."""
    context = Context(
        environment=os.environ, allowed_paths=(), packs=PackSources(catalog=catalog, builtin=True, files=True)
    )
    verdicts = [_verdict(file, context) for file in files]
    if as_json:
        print_json(verdicts)
    else:
        print_verdicts(verdicts)
    return OK if all(verdict["valid"] for verdict in verdicts) else FAILED


def _verdict(file: str, context: Context) -> JsonObject:
    content = read_file(file)
    try:
        plan = prepare(compile_scenario(content, _form(file), context), context)
    except CompileError as exc:
        faults = msgspec.to_builtins(getattr(exc, "faults", ()))
        return {"file": file, "valid": False, "error": exc.detail, "faults": list(faults)}
    return {"file": file, "valid": True, "scenarios": [{"name": entry.plan.name} for entry in plan.entries]}


def _form(file: str) -> BodyFormat:
    return BodyFormat.JSON if file.endswith(".json") else BodyFormat.YAML
