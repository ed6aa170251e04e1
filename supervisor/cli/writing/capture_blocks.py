"""What a capture becomes: the CSV file as the store reported it, and entries by the holes they share.

Source: docs/command-line.md, "Captures".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Final

from common.errors import DecodeError
from common.units import number_text
from supervisor.cli.writing.document import items

_SAMPLED: Final = 100
_HEAD: Final = """\
# A capture, replayed as the store reported it.
#
# `rate` is informational: the timestamps of the CSV file and `timescale` decide it. To replay faster or slower, change
# `timescale`.
version: 2
kind: runnable
tags: []
scenarios:
"""


@dataclass(frozen=True, slots=True)
class GridSeries:
    """A series over all points of the grid; None where there was no sample."""

    labels: dict[str, str]
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Captured:
    """All series, the instants of their points (seconds since the epoch), and how fast they are to be replayed."""

    series: list[GridSeries]
    stamps: list[float]
    timescale: float


@dataclass(slots=True)
class _Block:
    windows: list[tuple[int, int]]
    members: list[int]
    names: set[str]


def capture_csv(captured: Captured) -> str:
    """Return the CSV file.

    Raises:
        DecodeError: a label that its header cannot hold.
    """
    lines = [",".join(["timestamp", *(_cell(series.labels) for series in captured.series)])]
    for row, stamp in enumerate(captured.stamps):
        lines.append(",".join([f"{stamp:.3f}", *(_number(series.values[row]) for series in captured.series)]))
    return "\n".join(lines) + "\n"


def capture_scenario(captured: Captured, path: str) -> str:
    """Return the scenario that replays the CSV file at `path`.

    Raises:
        DecodeError: the points lie too close to be told apart.
    """
    slot_secs = _slot_secs(captured)
    entries = [
        _entry(number, block, captured, slot_secs, path) for number, block in enumerate(_blocks(captured.series))
    ]
    return _HEAD + "\n".join(items(entries, 0)) + "\n"


def _slot_secs(captured: Captured) -> float:
    printed = [float(f"{stamp:.3f}") for stamp in captured.stamps[:_SAMPLED]]
    distance = median(after - before for before, after in pairwise(printed))
    if not distance > 0 or len(set(printed)) < len(printed):
        raise DecodeError("--step is lost in the rounding of timestamps to milliseconds; make it larger")
    return distance / captured.timescale


def _blocks(series: Sequence[GridSeries]) -> list[_Block]:
    blocks: list[_Block] = []
    for index, one in enumerate(series):
        windows, name = _holes(one.values), one.labels["__name__"]
        for block in blocks:
            if block.windows == windows and name not in block.names:
                block.members.append(index)
                block.names.add(name)
                break
        else:
            blocks.append(_Block(windows, [index], {name}))
    return blocks


def _holes(values: Sequence[float | None]) -> list[tuple[int, int]]:
    """Return the first and last row of every run of absent samples."""
    holes: list[tuple[int, int]] = []
    for row, value in enumerate(values):
        if value is not None:
            continue
        if holes and holes[-1][1] == row - 1:
            holes[-1] = (holes[-1][0], row)
        else:
            holes.append((row, row))
    return holes


def _entry(number: int, block: _Block, captured: Captured, slot_secs: float, path: str) -> dict[str, Any]:
    generator: dict[str, Any] = {
        "type": "csv_replay",
        "file": path,
        "columns": [
            {
                "index": member + 1,
                "name": captured.series[member].labels["__name__"],
                "labels": {k: v for k, v in sorted(captured.series[member].labels.items()) if k != "__name__"},
            }
            for member in block.members
        ],
        "repeat": False,
    }
    if captured.timescale != 1:
        generator["timescale"] = captured.timescale
    name = f"capture_{number}"
    entry: dict[str, Any] = {
        "id": name,
        "signal_type": "metrics",
        "name": name,
        "rate": 1 / slot_secs,
        "duration": _seconds(len(captured.stamps) * slot_secs),
        "generator": generator,
    }
    if block.windows:
        entry["gap_windows"] = [_window(first, last, slot_secs) for first, last in block.windows]
    return entry


def _window(first: int, last: int, slot_secs: float) -> dict[str, Any]:
    at = 0.0 if first == 0 else (first - 0.5) * slot_secs
    length = (last + 0.5) * slot_secs - at
    begin_us, end_us = math.floor(at * 1e6), math.floor(at * 1e6) + math.floor(length * 1e6)
    covers = begin_us <= first * slot_secs * 1e6 and last * slot_secs * 1e6 < end_us
    spares = (first == 0 or (first - 1) * slot_secs * 1e6 < begin_us) and end_us <= (last + 1) * slot_secs * 1e6
    if not (covers and spares):
        raise DecodeError(f"a step of {_seconds(slot_secs)} is too short for windows of whole microseconds")
    return {"at": _seconds(at), "for": _seconds(length)}


def _seconds(value: float) -> str:
    return f"{number_text(value)}s"


def _cell(labels: dict[str, str]) -> str:
    ordered = sorted(labels.items(), key=lambda pair: (pair[0] != "__name__", pair[0]))
    parts = []
    for key, value in ordered:
        if any(character in text for character in "\r\n" for text in (key, value)):
            raise DecodeError(f"label {key!r}: a line break in a label does not fit into a CSV header")
        if "=" in key:
            raise DecodeError(f"label {key!r}: '=' in a label name does not fit into a CSV header")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f'{key}="{escaped}"')
    block = "{" + ", ".join(parts) + "}"
    return '"' + block.replace('"', '""') + '"'


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)
