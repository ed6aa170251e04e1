"""Where a field belongs that stands where the language has none of its name."""

from typing import Any, Final, get_args

import msgspec

from supervisor.compiler.language.blocks import Defaults, Entry, ScenarioFile
from supervisor.compiler.language.kinds import (
    DistributionConfig,
    EncoderConfig,
    GeneratorConfig,
    LogGeneratorConfig,
    SinkConfig,
)
from supervisor.reading.messages import Steps

_UNIONS: Final[dict[str, Any]] = {
    "generator": GeneratorConfig,
    "log_generator": LogGeneratorConfig,
    "distribution": DistributionConfig,
    "encoder": EncoderConfig,
    "sink": SinkConfig,
}
_OTHER_WORDS: Final = {
    "interval": "`rate` says how many events a second: an interval of 10s is `rate: 0.1`",
    "frequency": "did you mean `rate`?",
    "metric": "did you mean `name`?",
    "type": "did you mean `signal_type`?",
    "value": "a fixed value is written `generator: {type: constant, value: …}`",
    "format": "did you mean `encoder`?",
    "output": "did you mean `sink`?",
    "tags": "did you mean `labels`?",
    "end_time": "did you mean `duration`?",
}
"""Words of other tools for what an entry has."""


def _fields_of(union: Any) -> set[str]:
    members = get_args(get_args(union)[0])
    return {info.encode_name for member in members for info in msgspec.structs.fields(member)}


_FIELDS: Final = {block: _fields_of(union) for block, union in _UNIONS.items()}
_ENTRY_FIELDS: Final = {info.encode_name for info in msgspec.structs.fields(Entry)}
_DEFAULTS_FIELDS: Final = {info.encode_name for info in msgspec.structs.fields(Defaults)}
_FILE_FIELDS: Final = {info.encode_name for info in msgspec.structs.fields(ScenarioFile)}


def misplaced(at: Steps) -> str | None:
    """Return a hint at where the last key of `at` belongs, or None.

    Args:
        at: the steps from the root to a key that is unknown there.
    """
    *outer, key = at
    key = str(key)
    block = outer[-1] if outer else None
    if block in _UNIONS and key in _ENTRY_FIELDS:
        return f"`{key}` belongs beside `{block}`: indent it less"
    within = next((name for name, fields in _FIELDS.items() if key in fields), None)
    if within is not None and block not in _UNIONS:
        return f"`{key}` belongs in `{within}`"
    if block == "defaults" and key in _ENTRY_FIELDS:
        return f"`{key}` belongs in each entry; defaults have {', '.join(sorted(_DEFAULTS_FIELDS))}"
    if not outer and key in _ENTRY_FIELDS:
        return f"`{key}` belongs in an entry of `scenarios`, or in `defaults`"
    if outer and key in _FILE_FIELDS:
        return f"`{key}` belongs at the top of the file"
    return _OTHER_WORDS.get(key)
