"""Protocol Buffers as bytes: fields of constant text, and columns of numbers written into many records at once.

Source: the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

LENGTH_DELIMITED: Final = 2
PREFIX_BYTES: Final = 4
"""Before each record: its length, little endian."""


def varint(number: int) -> bytes:
    """Return an unsigned number in groups of seven bits, lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """Return a field that is a string or a message."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(payload)) + payload


def text_field(number: int, text: str) -> bytes:
    """Return a field of proto3 that is a string, which is left out when it is empty."""
    return field(number, text.encode()) if text else b""


def framed(message: bytes) -> bytes:
    """Return a message behind its length."""
    return len(message).to_bytes(PREFIX_BYTES, "little") + message


def float_columns(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return uint8[ticks, records, 8] of float64[ticks] or float64[ticks, records], little endian."""
    return np.ascontiguousarray(values, dtype="<f8").reshape(len(values), -1, 1).view(np.uint8)


def varint_widths(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes each of these numbers ≥ 0 takes; 0 takes one."""
    # The bounds are the numbers at which another byte begins.
    return np.searchsorted(_BOUNDS, numbers, side="right") + 1


def varint_columns(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return uint8[n, width] of numbers ≥ 0 that take `width` bytes each."""
    shifts = np.arange(width, dtype=np.int64) * 7
    columns = (numbers[:, None] >> shifts & 0x7F).astype(np.uint8)
    columns[:, : width - 1] |= 0x80
    return columns


_BOUNDS: Final = np.array([1 << 7 * bytes_ for bytes_ in range(1, 9)], dtype=np.int64)


def with_lengths(payload: bytes | memoryview, ends: NDArray[np.int64], number: int) -> bytes:
    """Return records as a repeated field: each prefix becomes the field's tag and a varint.

    Args:
        payload: records back to back, each with its prefix.
        ends: int64[n], the offset behind each record.
        number: of the field, below 16.
    """
    lengths = np.diff(ends, prepend=0) - PREFIX_BYTES
    tag = number << 3 | LENGTH_DELIMITED
    rows = np.frombuffer(payload, np.uint8)
    first = int(lengths[0])
    if (lengths == first).all():
        head = np.frombuffer(bytes([tag]) + varint(first), np.uint8)
        out = np.empty((len(lengths), len(head) + first), np.uint8)
        out[:, : len(head)] = head
        out[:, len(head) :] = rows.reshape(len(lengths), -1)[:, PREFIX_BYTES:]
        return out.tobytes()
    widths = varint_widths(lengths)
    if widths.max() > PREFIX_BYTES - 1:
        begins = ends - lengths
        parts = zip(begins.tolist(), ends.tolist(), strict=True)
        return b"".join(field(number, bytes(payload[begin:end])) for begin, end in parts)
    # The new head fits into the prefix: it is written at the prefix's end, and what is left of the prefix is taken out.
    out = rows.copy()
    kept = np.ones(len(out), np.bool_)
    starts = ends - lengths - PREFIX_BYTES
    for width in np.unique(widths).tolist():
        chosen = widths == width
        at = starts[chosen]
        unused = PREFIX_BYTES - 1 - width
        out[at + unused] = tag
        out[at[:, None] + np.arange(unused + 1, PREFIX_BYTES)] = varint_columns(lengths[chosen], width)
        kept[at[:, None] + np.arange(unused)] = False
    return out[kept].tobytes()
