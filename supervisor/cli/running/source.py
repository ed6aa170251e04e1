"""From a reference, a path or `@name`, to a compiled scenario and its plan.

Source: docs/command-line.md, "run".
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from common.errors import CompileError, DecodeError
from common.plan import Plan
from common.specs import Stdout
from supervisor.cli.catalog.reading import catalog_of
from supervisor.cli.failures import CommandError, FaultyScenarioError
from supervisor.cli.running.words import is_installed
from supervisor.compiler import (
    AS_IT_IS,
    Asked,
    BodyFormat,
    Compiled,
    Context,
    PackSources,
    compile_file,
    prepare,
    read_scenario,
)
from supervisor.compiler import written_entries as entries_of
from supervisor.compiler.language.blocks import Expect, FlatFile, ScenarioFile
from supervisor.compiler.language.document import VERSION
from supervisor.compiler.packs.catalog import read_text
from supervisor.compiler.packs.resolver import builtin_packs
from supervisor.reading.nodes import MappingNode, ScalarNode
from supervisor.reading.scalars import integer_of
from supervisor.reading.yaml_text import read_yaml

_REFERENCE: Final = re.compile(r"\$\{[^}\n]*\}")
_COMPILE_PREFIX: Final = "v2 scenario body failed to compile: "
_READING_PHASES: Final = frozenset({"parse", "env interpolation"})


@dataclass(frozen=True, slots=True)
class ReadyScenario:
    """A scenario that is ready to run.

    Attributes:
        reference: as typed.
        compiled: its entries, overrides applied.
        plan: what runs.
        expect: the alerts that a test expects.
        text: as it is written.
    """

    reference: str
    compiled: Compiled
    plan: Plan
    expect: Expect | None
    text: str


def load(
    reference: str,
    catalog: Path | None,
    override: Callable[[Compiled], Compiled] | None = None,
    asked: Asked = AS_IT_IS,
    *,
    is_dry: bool = False,
) -> ReadyScenario:
    """Return the scenario that `reference` names, everything checked that can be checked before a launch.

    Args:
        reference: a path, or `@name` for an entry of the catalog.
        catalog: directory of named scenarios and packs.
        override: applied to the compiled entries.
        asked: which part of it runs, and when.
        is_dry: whether sinks pass for which something is not installed; the plan has others in their place.

    Raises:
        CommandError: it cannot be read, or cannot run.
    """
    text = _text_of(reference, catalog)
    is_version_2 = _is_version_2(text)
    # Paths are those of the user who types the command, and so is the environment.
    sources = PackSources(catalog=catalog, builtin=True, files=True)
    context = Context(environment=os.environ, allowed_paths=(), packs=sources)
    try:
        written = read_scenario(text.encode(), BodyFormat.YAML, context)
        if not is_version_2:
            raise CommandError(_other_version_text(reference))
        if not written.faults:
            _check_local(reference, written.file)
        compiled = compile_file(written, context)
        compiled = compiled if override is None else override(compiled)
        plan = prepare(_dry(compiled) if is_dry else compiled, context, asked)
        return ReadyScenario(reference, compiled, plan, written.file.expect, text)
    except CompileError as exc:
        message = _command_text(reference, exc.detail) if is_version_2 else _other_version_text(reference)
        raise FaultyScenarioError(message, reference, exc.faults) from exc


def _dry(compiled: Compiled) -> Compiled:
    entries = tuple(
        entry if is_installed(entry.sink) else msgspec.structs.replace(entry, sink=Stdout())
        for entry in compiled.entries
    )
    return msgspec.structs.replace(compiled, entries=entries)


def _text_of(reference: str, catalog: Path | None) -> str:
    if not reference.startswith("@"):
        try:
            return read_text(Path(reference))
        except (DecodeError, ValueError) as exc:
            raise CommandError(
                f"failed to read scenario file {reference}: {exc}\n\n"
                "  hint: use `@name` for catalog entries (requires --catalog <dir>)"
            ) from exc
    name = reference.removeprefix("@")
    if catalog is None:
        raise CommandError(_pack_text(name) or "--catalog <dir> is required to resolve @name references")
    listed = catalog_of(catalog)
    for skipped in listed.skipped:
        if skipped.broken:
            sys.stderr.write(f"warning: catalog: skipping {skipped.path}: {skipped.reason}\n")
    for entry in listed.entries:
        if entry.name == name:
            if entry.header.kind == "composable":
                raise CommandError(
                    f'"{name}" is a metric pack (kind: composable), not a runnable scenario. Reference it from a '
                    f"scenario entry's `pack: {name}` key."
                )
            return entry.text
    names = ", ".join(entry.name for entry in listed.entries) or "<empty>"
    raise CommandError(_pack_text(name) or f'unknown catalog entry "{name}" in {catalog}; available: {names}')


def _pack_text(name: str) -> str | None:
    if name not in builtin_packs():
        return None
    return (
        f'"{name}" is a builtin metric pack (kind: composable), not a runnable scenario. Reference it from a scenario '
        f"entry's `pack: {name}` key, or print it with `sonda show @{name}`."
    )


def _is_version_2(text: str) -> bool:
    try:
        root = read_yaml(_REFERENCE.sub("x", text))
    except DecodeError:
        return False
    version = root.get("version") if isinstance(root, MappingNode) else None
    return isinstance(version, ScalarNode) and version.plain and integer_of(version.text) == VERSION


def _other_version_text(reference: str) -> str:
    return (
        f"scenario {reference} is not a v2 scenario. Sonda only accepts v2 YAML (`version: 2` at the top level). "
        "Migrate this file to v2 — see docs/configuration/v2-scenarios.md for the migration guide."
    )


def _check_local(reference: str, file: ScenarioFile | FlatFile) -> None:
    clauses = [entry.while_ for entry in entries_of(file)]
    if any(clause is not None and clause.scenario_name is not None for clause in clauses):
        raise CommandError(
            f"failed to parse v2 scenario {reference}: `while.scenario_name` requires a running sonda-server "
            "(POST /scenarios); a run by itself knows no other bodies. See "
            "docs/configuration/v2-scenarios.md#cross-post-while-refs"
        )


def _command_text(reference: str, detail: str) -> str:
    """Return what the compiler says of a body, said of a file."""
    if not detail.startswith(_COMPILE_PREFIX):
        if detail.startswith("configuration error:"):
            return detail
        return f"failed to compile v2 scenario {reference}: {detail}"
    phase, _, message = detail.removeprefix(_COMPILE_PREFIX).partition(" error: ")
    if phase in _READING_PHASES:
        return f"failed to parse v2 scenario {reference}: {message}"
    return f"failed to compile v2 scenario {reference}: {phase} error: {message}"
