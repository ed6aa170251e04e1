"""Protocol Buffers as bytes: fields of constant text, and columns of numbers written into many records at once.

Source: the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding).
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LENGTH_DELIMITED: Final = 2
PREFIX_BYTES: Final = 4
"""Before each record: its length, little endian."""

NumberCells = NDArray[np.void]
"""Numbers as bytes, written or copied one at a time."""


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """Return an unsigned number in groups of seven bits, lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_head(number: int, size: int) -> bytes:
    """Return what stands before the bytes of a string or a message."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(size)


def field(number: int, payload: bytes) -> bytes:
    """Return a field that is a string or a message."""
    return field_head(number, len(payload)) + payload


def text_field(number: int, text: str) -> bytes:
    """Return a field of proto3 that is a string, which is left out when it is empty."""
    return field(number, text.encode()) if text else b""


def framed(message: bytes) -> bytes:
    """Return a message behind its length."""
    return len(message).to_bytes(PREFIX_BYTES, "little") + message


def number_cells(numbers: NDArray[Any]) -> NumberCells:
    """Return [ticks, records] cells of numbers of 8 bytes, given [ticks] or [ticks, records]; little endian."""
    rows = np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<"))
    return rows.view("V8").reshape(len(rows), -1)


def varint_widths(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes each of these numbers ≥ 0 takes; 0 takes one."""
    # The bounds are the numbers at which another byte begins.
    return np.searchsorted(_BOUNDS, numbers, side="right") + 1


def varint_runs(numbers: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return runs of numbers ≥ 0 that never decrease and take the same bytes: first, behind the last, and the bytes."""
    first, last = (len(varint(int(numbers[place]))) for place in (0, -1))
    if first == last:
        return [(0, len(numbers), first)]
    widths = varint_widths(numbers)
    edges = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(numbers)]
    return [(begin, end, int(widths[begin])) for begin, end in pairwise(edges)]


def varint_cells(numbers: NDArray[np.int64], width: int) -> NumberCells:
    """Return [n] cells of numbers ≥ 0 that take `width` bytes each, at most 8."""
    first = numbers.item(0)
    # Higher groups are often the same in all of them.
    differing = int(np.bitwise_or.reduce(numbers ^ first)).bit_length()
    groups = -(-differing // 7)
    constant = int.from_bytes(varint(first), "little")
    spread = np.full(len(numbers), constant >> 8 * groups << 8 * groups, dtype="<u8")
    for group in range(groups):
        mask = 0x7F << 8 * group
        spread |= (numbers << group & mask).view("<u8")
        if group < width - 1:
            spread |= np.uint64(0x80 << 8 * group)
    return np.ndarray((len(numbers),), f"V{width}", spread, 0, (8,))


_BOUNDS: Final = np.array([1 << 7 * bytes_ for bytes_ in range(1, 9)], dtype=np.int64)


def bytes_of(columns: NumberCells) -> NDArray[np.uint8]:
    """Return uint8[n, width] of [n] cells."""
    return np.ascontiguousarray(columns).view(np.uint8).reshape(len(columns), -1)


def _every(buffer: Any, offset: int, stride: int, width: int, count: int) -> NumberCells:
    """Return [count] cells of a buffer, so many bytes wide, every `stride` bytes from `offset` on."""
    return np.ndarray((count,), f"V{width}", buffer, offset, (stride,))


def with_lengths(payload: bytes | memoryview, ends: NDArray[np.int64], number: int) -> bytes | bytearray:
    """Return records as a repeated field: each prefix becomes the field's tag and a varint.

    Args:
        payload: records back to back, each with its prefix.
        ends: int64[n], the offset behind each record.
        number: of the field, below 16.
    """
    lengths = ends - PREFIX_BYTES
    lengths[1:] -= ends[:-1]
    tag = number << 3 | LENGTH_DELIMITED
    first = int(lengths[0])
    if (lengths == first).all():
        head = bytes([tag]) + varint(first)
        count = len(lengths)
        fields = bytearray(head + bytes(first)) * count
        # PERF: a record is one cell; row by row and byte by byte takes twice as long.
        records = _every(payload, PREFIX_BYTES, PREFIX_BYTES + first, first, count)
        _every(fields, len(head), len(head) + first, first, count)[:] = records
        return fields
    rows = np.frombuffer(payload, np.uint8)
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
        out[at[:, None] + np.arange(unused + 1, PREFIX_BYTES)] = bytes_of(varint_cells(lengths[chosen], width))
        kept[at[:, None] + np.arange(unused)] = False
    return out[kept].tobytes()
