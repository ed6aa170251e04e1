"""Text to plan: the compiler of version-2 scenario bodies.

Runs in the supervisor, in whatever thread asks; nothing here starts a process, a thread or a connection. The disk is
read for packs and replays, and to follow the links of file paths. Read first: `document.py`, `decode.py`,
`normalize.py`, `planning.py`::

    bytes ─read_body─► nodes ─read_file─► entries ─normalize─► ─expand─► ─resolve_timing─► Compiled    400, some 422
                                                                           Compiled ─prepare─► Plan    422

Source: docs/architecture.md, "The life of a scenario".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import CompileError
from common.plan import Plan
from supervisor.compiler.compiled import Compiled, CompiledEntry, compiled_entry
from supervisor.compiler.language.availability import check_available
from supervisor.compiler.language.blocks import Defaults, Entry, FlatFile, ScenarioFile
from supervisor.compiler.language.document import Body, read_body, read_file
from supervisor.compiler.language.normalize import normalize
from supervisor.compiler.language.structure import check_structure
from supervisor.compiler.packs.expand import expand
from supervisor.compiler.packs.resolver import PackSources, Resolver
from supervisor.compiler.planning.plans import plan_body
from supervisor.compiler.timing.offsets import resolve_timing

__all__ = [
    "Body",
    "Compiled",
    "CompiledEntry",
    "Context",
    "PackSources",
    "compile_file",
    "compile_scenario",
    "prepare",
    "read_scenario",
    "written_entries",
]


@dataclass(frozen=True)
class Context:
    """What compiling may know of the machine.

    Attributes:
        environment: what `${NAME}` reads; `SONDA_API_KEY` counts as unset even when it is in it.
        allowed_paths: roots of the file paths that a scenario may name; empty allows every path.
        packs: where packs may come from.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    allowed_paths: tuple[Path, ...] = ()
    packs: PackSources = field(default_factory=PackSources)


def compile_scenario(payload: bytes, form: Body, context: Context) -> Compiled:
    """Return the entries of a posted body.

    Raises:
        CompileError: 400 for a text that does not compile, 422 for the clause faults that clients expect so.
    """
    return compile_file(read_scenario(payload, form, context.environment), context)


def read_scenario(payload: bytes, form: Body, environment: Mapping[str, str]) -> ScenarioFile | FlatFile:
    """Return a document as it is written, references to the environment replaced.

    Raises:
        CompileError: as `compile_scenario`.
    """
    file = read_file(read_body(payload, form, environment))
    if file is None:
        raise CompileError("v2 scenario body produced zero entries")
    check_structure(written_entries(file), None if isinstance(file, FlatFile) else file.scenario_name)
    return file


def written_entries(file: ScenarioFile | FlatFile) -> tuple[Entry, ...]:
    """Return the entries of a document; the flat form is one."""
    return (file,) if isinstance(file, FlatFile) else file.scenarios


def compile_file(file: ScenarioFile | FlatFile, context: Context) -> Compiled:
    """Return the entries of a document with everything inherited, packs expanded, offsets resolved.

    Raises:
        CompileError: as `compile_scenario`.
    """
    if isinstance(file, FlatFile):
        scenario_name, defaults = None, Defaults()
    else:
        scenario_name, defaults = file.scenario_name, file.defaults or Defaults()
    entries = expand(normalize(written_entries(file), defaults), defaults.labels or {}, Resolver(context.packs))
    timed = resolve_timing(entries, scenario_name)
    check_available(entries)
    return Compiled(
        scenario_name=scenario_name,
        entries=tuple(compiled_entry(index, entry, clock_group_auto=auto) for index, (entry, auto) in enumerate(timed)),
    )


def prepare(compiled: Compiled, context: Context) -> Plan:
    """Return the plan of a compiled body: the runtime validation, after the check of its name.

    Raises:
        CompileError: 422, naming the first entry that cannot run and why.
    """
    return plan_body(compiled, tuple(root.resolve() for root in context.allowed_paths))
