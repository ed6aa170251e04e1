"""Message classes of other people's protocols, made by Google's runtime: what our bytes are decoded by."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_SCALARS = {"string": 9, "bytes": 12, "double": 1, "int64": 3, "uint32": 13, "fixed64": 6}
_OPTIONAL, _REPEATED, _MESSAGE = 1, 3, 11


def classes(package: str, messages: dict[str, dict[str, tuple[int, str]]]) -> dict[str, Any]:
    """Return the classes of a proto3 file.

    Args:
        package: its name.
        messages: to each message the number and type of its fields; a type in brackets is repeated.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            bare = kind.strip("[]")
            field = message.field.add(name=field_name, number=number, label=_REPEATED if bare != kind else _OPTIONAL)
            if bare in _SCALARS:
                field.type = _SCALARS[bare]
            else:
                field.type, field.type_name = _MESSAGE, f".{package}.{bare}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


PROMETHEUS = classes(
    "prometheus",
    {
        "WriteRequest": {"timeseries": (1, "[TimeSeries]")},
        "TimeSeries": {"labels": (1, "[Label]"), "samples": (2, "[Sample]")},
        "Label": {"name": (1, "string"), "value": (2, "string")},
        "Sample": {"value": (1, "double"), "timestamp": (2, "int64")},
    },
)
"""Remote write 1.0, as prometheus/prompb has it."""

WRITE_2 = classes(
    "io.prometheus.write.v2",
    {
        "Request": {"symbols": (4, "[string]"), "timeseries": (5, "[TimeSeries]")},
        "TimeSeries": {"labels_refs": (1, "[uint32]"), "samples": (2, "[Sample]"), "metadata": (5, "Metadata")},
        "Sample": {"value": (1, "double"), "timestamp": (2, "int64"), "start_timestamp": (3, "int64")},
        # The type is an enumeration there, which has the same bytes.
        "Metadata": {"type": (1, "uint32"), "help_ref": (3, "uint32"), "unit_ref": (4, "uint32")},
    },
)
"""Remote write 2.0, as prometheus/prompb/io/prometheus/write/v2 has it."""


RPC = classes(
    "google.rpc",
    {
        "Status": {"code": (1, "int64"), "message": (2, "string"), "details": (3, "[Any]")},
        "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
        "RetryInfo": {"retry_delay": (1, "Duration")},
        "Duration": {"seconds": (1, "int64"), "nanos": (2, "int64")},
    },
)
"""Details of a gRPC status, as googleapis has them."""


def frames_of(payload: bytes) -> list[bytes]:
    """Take records apart by the length before each."""
    frames = []
    while payload:
        stop = 4 + int.from_bytes(payload[:4], "little")
        assert stop <= len(payload)
        frames.append(payload[4:stop])
        payload = payload[stop:]
    return frames
