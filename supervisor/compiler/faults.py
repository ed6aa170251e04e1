"""How a fault becomes the text that a client reads. Source: docs/http.md, "Answers"."""

from common.errors import CompileError

V1_HINT = (
    "body is not a v2 scenario. Sonda only accepts v2 scenario bodies (`version: 2` at the top level). "
    "Migrate this body to v2 — see docs/configuration/v2-scenarios.md for the migration guide."
)


def compile_fault(phase: str, message: str, status: int = 400) -> CompileError:
    """Return the error of a body that does not compile in `phase`, e.g. `normalize`."""
    return CompileError(f"v2 scenario body failed to compile: {phase} error: {message}", status)


def runtime_fault(index: int, message: str) -> CompileError:
    """Return the 422 of compiled entry `index` (0-based, packs expanded) with a value that cannot run."""
    return CompileError(f"configuration error: scenario[{index}]: {message}", 422)
