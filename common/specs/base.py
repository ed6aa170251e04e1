"""What all blocks of the language share: their base, and the types of their fields."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

RecordShape = Literal["line", "TimeSeries", "Metric", "LogRecord"]
"""What an encoder writes at a time: a line of text, or a message of protobuf behind its length."""

SignalType = Literal["metrics", "logs", "histogram", "summary"]
OnSinkError = Literal["warn", "fail"]

MetricType = Literal["gauge", "counter", "histogram", "summary", "untyped"]
"""What receivers that know types of metrics are told."""

SpikeStrategy = Literal["counter", "random"]

U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# msgspec takes bounds of 63 bits at the most; the compiler refuses what 64 bits do not hold.
U64 = Annotated[int, Meta(ge=0)]

# What the compiler checks beyond the type; the reference and the schema show it.
Duration = Annotated[str, Meta(description="duration")]
DurationOrZero = Annotated[str, Meta(description="duration, or zero")]
Positive = Annotated[float, Meta(description="number > 0")]
Precision = Annotated[U8, Meta(description="integer, 0 to 17")]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything a user writes.

    Attributes:
        secrets: names of the fields that are never shown.
        secret_entries: names of the fields whose entries are header fields, not all of which are shown.
    """

    secrets: ClassVar[frozenset[str]] = frozenset()
    secret_entries: ClassVar[frozenset[str]] = frozenset()


class Extra(msgspec.Struct, frozen=True):
    """What must be installed for a kind beyond the program itself.

    Attributes:
        name: in `sondad[name]`.
        module: what the kind imports of it.
    """

    name: str
    module: str


def kind_of(spec: Spec) -> str:
    """Return the `type` under which users write a tagged block."""
    return str(spec.__struct_config__.tag)
