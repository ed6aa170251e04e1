"""A change of a running entry: a patch, laid over the entry as clients see it, and compiled like any other.

The patch is a JSON merge patch (RFC 7396): maps are merged, null removes a key. Source: docs/http.md, "Change".
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from common.errors import CompileError, DecodeError
from common.plan import PlannedEntry, ReplayColumn, ReplayRows
from common.tuning import Change, Tuning
from common.units import clip
from supervisor.compiler import BodyFormat, Compiled, Context, compile_file, prepare, written
from supervisor.compiler.faults import Faults
from supervisor.compiler.language.blocks import BLOCKS, Entry
from supervisor.compiler.language.document import VERSION, Document, read_text
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.compiler.planning.sinks import check_record_key
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.scalars import is_null

_CHANGEABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "metrics": ("rate", "duration", "labels", "generator", "jitter", "jitter_seed"),
    "logs": ("rate", "duration", "labels", "log_generator"),
    "histogram": ("rate", "duration", "labels", "distribution", "observations_per_tick", "mean_shift_per_sec"),
    "summary": ("rate", "duration", "labels", "distribution", "observations_per_tick", "mean_shift_per_sec"),
}
_BESIDE: Final = (
    "signal_type",
    "name",
    "buckets",
    "quantiles",
    "seed",
    "dynamic_labels",
    "cardinality_spikes",
    "backfill",
)
"""What decides, too, whether the changed fields fit."""

_STAND_INS: Final[Mapping[str, dict[str, Any]]] = {
    "generator": {"type": "constant", "value": 0.0},
    "log_generator": {"type": "template", "templates": [{"message": ""}]},
}
"""What stands for a recording, which is not read again."""


def read_change(entry: PlannedEntry, payload: bytes, form: BodyFormat, context: Context) -> Change:
    """Return what a patch makes of an entry.

    Args:
        entry: as it runs.
        payload: the patch.
        form: how it is written.
        context: as for a posted body.

    Raises:
        CompileError: 400 for a text that cannot be read, 422 for a value that cannot be, or that cannot be changed; it
            carries all faults that were found.
    """
    _, patch, origin = read_text(payload, form, Interpolation(context.environment, context.environment_rule))
    faults = Faults(origin)
    if not isinstance(patch, MappingNode):
        faults.add(CompileError("the body is no map of fields to change", hint='write `rate: 20`, or {"rate": 20}'))
        faults.close()
    assert isinstance(patch, MappingNode)  # noqa: S101 - the fault was raised
    if entry.segment is not None:
        # The others would have to change at the same tick.
        faults.add(_fault("a scenario of a segment cannot be changed while it runs"))
    _check_fields(entry, patch, faults)
    faults.close()
    merged = _merged(_node(_base(entry)), patch)
    assert isinstance(merged, MappingNode)  # noqa: S101 - so are both
    document = Document(merged, origin)
    compiled = compile_file(written(document), context)
    _check_clauses(entry, compiled, faults)
    faults.close()
    (planned,) = prepare(compiled, context).entries
    plan, shown = planned.plan, planned.config
    fields = _fields(entry)
    config = {key: shown.get(key) if key in fields else value for key, value in entry.config.items()}
    config |= {key: shown[key] for key in fields if key in shown}
    config = {key: value for key, value in config.items() if value is not None or key == "duration"}
    changes = {key: config.get(key) for key in fields if config.get(key) != entry.config.get(key)}
    tuning = Tuning(
        rate=plan.rate,
        duration_ns=plan.duration_ns,
        labels=plan.labels,
        generator=None if _is_replay(entry) else plan.generator,
        jitter=plan.jitter,
        jitter_seed=plan.jitter_seed,
    )
    return Change(tuning=tuning, config=config, changes=changes)


def _is_replay(entry: PlannedEntry) -> bool:
    return isinstance(entry.plan.generator, ReplayColumn | ReplayRows)


def _fields(entry: PlannedEntry) -> Sequence[str]:
    """Return the fields of an entry that can be changed."""
    fields = _CHANGEABLE[entry.plan.signal_type]
    return [key for key in fields if not _is_replay(entry) or key != BLOCKS[entry.plan.signal_type]]


def _base(entry: PlannedEntry) -> dict[str, Any]:
    """Return an entry as a document of its own, less what cannot be changed and has no part in it."""
    config = entry.config
    base = {key: config[key] for key in (*_BESIDE, *_fields(entry)) if config.get(key) is not None}
    block = BLOCKS[entry.plan.signal_type]
    if _is_replay(entry):
        base[block] = _STAND_INS[block]
    return {"version": VERSION, **base}


def _check_fields(entry: PlannedEntry, patch: MappingNode, faults: Faults) -> None:
    """Refuse the fields of an entry that cannot be changed; what is no field at all is left to the decoder."""
    fields, block = _fields(entry), BLOCKS[entry.plan.signal_type]
    for key, value in patch.items:
        name = key.text if isinstance(key, ScalarNode) else ""
        if name in Entry.__struct_encode_fields__ and name not in fields:
            can = ", ".join(f"`{field}`" for field in fields)
            whose = "of a replay " if name == block else ""
            faults.add(_fault(f"`{name}` {whose}cannot be changed while the scenario runs; {can} can", name))
        elif name == block != "distribution" and isinstance(value, MappingNode):
            kind, written_kind = entry.config[block]["type"], value.get("type")
            if written_kind is not None and not (isinstance(written_kind, ScalarNode) and written_kind.text == kind):
                problem = (
                    f"the type of `{block}` is `{kind}` as long as the scenario runs; its parameters can be changed"
                )
                faults.add(_fault(problem, block, "type"))


def _check_clauses(entry: PlannedEntry, compiled: Compiled, faults: Faults) -> None:
    """Refuse what the clauses and the sink of an entry do not allow, which are not compiled again."""
    (changed,) = compiled.entries
    for clause in ("while", "after"):
        if entry.config.get(clause) is not None and changed.duration is None:
            faults.add(_fault(f"scenarios with `{clause}:` must have `duration:` set", "duration"))
    keys = changed.labels.keys() | {label.key for label in changed.dynamic_labels or ()}
    try:
        check_record_key(entry.plan.sink, keys | {spike.label for spike in changed.cardinality_spikes or ()})
    except DecodeError as exc:
        fault = _fault(str(exc), "labels")
        fault.hint = exc.hint
        faults.add(fault)


def _fault(problem: str, *at: str) -> CompileError:
    return CompileError(f"configuration error: {clip(problem)}", 422, problem=problem, at=at)


def _merged(base: Node | None, patch: Node) -> Node:
    """Return the merge of RFC 7396; of a map that has a key twice both stay, and are told by whoever decodes it."""
    if not isinstance(patch, MappingNode):
        return patch
    known = base if isinstance(base, MappingNode) else MappingNode([])
    written_keys = {key.text for key, _ in patch.items if isinstance(key, ScalarNode)}
    kept = [(key, node) for key, node in known.items if not (isinstance(key, ScalarNode) and key.text in written_keys)]
    laid = [
        (key, _merged(known.get(key.text) if isinstance(key, ScalarNode) else None, node))
        for key, node in patch.items
        if not is_null(node)
    ]
    return MappingNode([*kept, *laid], patch.line, patch.column)


def _node(value: Any) -> Node:
    """Return builtins as a reader would have read them."""
    match value:
        case dict():
            return MappingNode([(ScalarNode(key, plain=False), _node(inner)) for key, inner in value.items()])
        case list() | tuple():
            return SequenceNode([_node(inner) for inner in value])
        case str():
            return ScalarNode(value, plain=False)
        case bool():
            return ScalarNode("true" if value else "false", plain=True)
        case None:
            return ScalarNode("null", plain=True)
        case float():
            # Infinities and NaN begin with a point, as in YAML.
            return ScalarNode(re.sub("(?=inf|nan)", ".", repr(value)), plain=True)
    return ScalarNode(str(value), plain=True)
