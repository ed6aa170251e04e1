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

import msgspec

from common.errors import CompileError
from common.plan import FileAccess, Plan
from supervisor.compiler.asked import AS_IT_IS, Asked
from supervisor.compiler.compiled import Compiled, CompiledEntry, compiled_entry
from supervisor.compiler.faults import Faults
from supervisor.compiler.language.blocks import Defaults, Entry, FlatFile, ScenarioFile
from supervisor.compiler.language.document import BodyFormat, Document, read_body, read_file
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.compiler.language.normalize import normalize
from supervisor.compiler.language.structure import check_structure
from supervisor.compiler.origin import Origin
from supervisor.compiler.packs.expand import expand
from supervisor.compiler.packs.resolver import PackSources, Resolver
from supervisor.compiler.paths import file_access
from supervisor.compiler.planning.plans import plan_body
from supervisor.compiler.timing.offsets import resolve_timing

__all__ = [
    "AS_IT_IS",
    "Asked",
    "BodyFormat",
    "Compiled",
    "CompiledEntry",
    "Context",
    "PackSources",
    "Written",
    "compile_file",
    "compile_scenario",
    "prepare",
    "read_scenario",
    "written",
    "written_entries",
]


@dataclass(frozen=True)
class Context:
    """What compiling may know of the machine.

    Attributes:
        environment: what `${NAME}` reads; `SONDA_API_KEY` counts as unset even when it is in it.
        environment_rule: how hints begin about a variable that is not set, where `environment` is not the whole one.
        allowed_paths: roots of the file paths that a scenario may name; empty allows every path.
        packs: where packs may come from.
        state: the daemon's state directory, which a scenario may not name.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    environment_rule: str = ""
    allowed_paths: tuple[Path, ...] = ()
    packs: PackSources = field(default_factory=PackSources)
    state: Path | None = None

    @property
    def files(self) -> FileAccess:
        """Where files may be."""
        return file_access(self.allowed_paths, self.packs.catalog, self.state)


def compile_scenario(payload: bytes, form: BodyFormat, context: Context) -> Compiled:
    """Return the entries of a posted body.

    Raises:
        CompileError: 400 for a text that does not compile, 422 for the clause faults that clients expect so; it
            carries all faults that were found.
    """
    return compile_file(read_scenario(payload, form, context), context)


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it is written, and what is wrong with it so far.

    Attributes:
        file: references to the environment replaced, and mended where something cannot be read.
        origin: where its parts stand in the text.
        faults: are raised when it is compiled.
    """

    file: ScenarioFile | FlatFile
    origin: Origin
    faults: Faults


def read_scenario(payload: bytes, form: BodyFormat, context: Context) -> Written:
    """Return a document as it is written.

    Raises:
        CompileError: as `compile_scenario`, when nothing of it can be looked at further.
    """
    return written(read_body(payload, form, Interpolation(context.environment, context.environment_rule)))


def written(document: Document) -> Written:
    """Return what a document says.

    Raises:
        CompileError: as `read_scenario`.
    """
    faults = Faults(document.origin)
    file = read_file(document, faults)
    if file is None:
        hint = "a pack is named by `pack:` in an entry, and kept in the catalog"
        faults.add(CompileError("v2 scenario body produced zero entries", at=("kind",), hint=hint))
        faults.close()
    assert file is not None  # noqa: S101 - the faults were raised
    entries = check_structure(written_entries(file), None if isinstance(file, FlatFile) else file.scenario_name, faults)
    if isinstance(file, ScenarioFile):
        file = msgspec.structs.replace(file, scenarios=entries)
    else:
        (file,) = (entry for entry in entries if isinstance(entry, FlatFile))
    return Written(file, document.origin, faults)


def written_entries(file: ScenarioFile | FlatFile) -> tuple[Entry, ...]:
    """Return the entries of a document; the flat form is one."""
    return (file,) if isinstance(file, FlatFile) else file.scenarios


def compile_file(written: Written, context: Context) -> Compiled:
    """Return the entries of a document with everything inherited, packs expanded, offsets resolved.

    Raises:
        CompileError: as `compile_scenario`.
    """
    file, origin, faults = written.file, written.origin, written.faults
    if isinstance(file, FlatFile):
        scenario_name, defaults = None, Defaults()
    else:
        scenario_name, defaults = file.scenario_name, file.defaults or Defaults()
    entries = normalize(written_entries(file), defaults, faults)
    expanded = expand(entries, defaults.labels or {}, Resolver(context.packs), faults)
    origin.entries = tuple(origin.entries[index] for index, _ in expanded)
    entries = tuple(entry for _, entry in expanded)
    timed = resolve_timing(entries, scenario_name, faults)
    compiled = Compiled(
        scenario_name=scenario_name,
        entries=tuple(
            compiled_entry(index, entry, faults, clock_group_auto=auto) for index, (entry, auto) in enumerate(timed)
        ),
        origin=origin,
    )
    if faults:
        # Values that cannot run are told along with what does not compile.
        plan_body(compiled, context.files, faults)
    return compiled


def prepare(compiled: Compiled, context: Context, asked: Asked = AS_IT_IS) -> Plan:
    """Return the plan of a compiled body, as it is asked for: the runtime validation, after the check of its name.

    Raises:
        CompileError: 422, naming the first entry that cannot run and why; it carries all faults.
    """
    return plan_body(compiled, context.files, Faults(compiled.origin), asked)
