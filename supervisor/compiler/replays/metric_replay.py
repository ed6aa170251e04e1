"""Metric replays: an entry becomes one entry for each column of its file, at the rate that the file implies.

The file is read once, here, and each worker gets its column as numbers, so what was checked is what is replayed.
Source: docs/scenarios.md, "Replays".
"""

import logging
import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.errors import CompileError, DecodeError
from common.plan import FileAccess, ReplayColumn
from common.units import clip, number_text, quote
from supervisor.compiler.compiled import CompiledEntry
from supervisor.compiler.language.kinds import CsvReplay
from supervisor.compiler.paths import check_path
from supervisor.compiler.replays.csv_columns import UsedColumn, check_columns, read_header, used_columns
from supervisor.compiler.replays.csv_text import (
    MAX_CSV_BYTES,
    WHITE_SPACE,
    counted_lines,
    is_header,
    number_parser,
    read_csv,
)
from supervisor.compiler.replays.rate import Timestamps, check_timescale
from supervisor.compiler.replays.silences import SilentRows, check_blanks
from supervisor.compiler.timing.windows import plan_duration, plan_gap_windows

logger = logging.getLogger(__name__)

MAX_CELLS: Final = 8_000_000
"""Of one body's replays: 64 MB of samples, which is also what one column of them may take to a worker."""

_SAME_RATE: Final = 1e-9


class Budget:
    """What the replays of one body may still read and keep."""

    def __init__(self) -> None:
        self.file_bytes = MAX_CSV_BYTES
        self.cells = MAX_CELLS

    def read(self, path: str, access: FileAccess) -> bytes:
        """Return a file's content, as `read_csv`, if it is allowed."""
        check_path(path, access)
        content = read_csv(path, access, self.file_bytes)
        self.file_bytes -= len(content)
        return content

    def take_cells(self, path: str, count: int) -> None:
        """Raise DecodeError when `count` more cells are too many."""
        self.cells -= count
        if self.cells < 0:
            raise DecodeError(
                f"csv_replay: file {quote(clip(path))} goes beyond the {MAX_CELLS} cells that the replays of one "
                "body may have together"
            )


@contextmanager
def naming_file(path: str) -> Iterator[None]:
    """Let a DecodeError say which file it is about, behind a text that does not."""
    try:
        yield
    except DecodeError as exc:
        shown = quote(clip(path))
        if shown in str(exc):
            raise
        raise DecodeError(f"{exc} (file {shown})", exc.status) from exc


class _Samples:
    """The samples of one column; the first fault in it is kept, to be reported when its turn comes."""

    def __init__(self, column: UsedColumn, number: Callable[[str], float]) -> None:
        self.column = column
        self._number = number
        self._values = array("d")
        self._blank_rows = array("q")
        self.fault: str | None = None

    def add(self, line: int, cells: list[str]) -> None:
        index = self.column.index
        try:
            self._values.append(self._number(cells[index]))
        except IndexError:
            self.fault = self.fault or (
                f"csv_replay: line {line} has {len(cells)} column(s), so column {index} is missing. Every data row "
                "must carry every column — a short row would otherwise drop a slot and shift the rest of the timeline "
                "earlier."
            )
        except ValueError:
            cell = cells[index].strip(WHITE_SPACE)
            if cell:
                self.fault = self.fault or (
                    f"csv_replay: line {line}, column {index}: {quote(clip(cell))} is not a number. Leave the cell "
                    "empty to mark an absent sample (and declare the matching `gap_windows:` entry); anything else is "
                    "a typo that would otherwise be dropped, shifting every later sample one step earlier."
                )
            self._blank_rows.append(len(self._values))
            self._values.append(math.nan)

    def blank(self) -> NDArray[np.bool_]:
        """Return bool[rows]: the absent samples."""
        blank = np.zeros(len(self._values), dtype=np.bool_)
        blank[np.frombuffer(self._blank_rows, dtype=np.int64)] = True
        return blank

    def packed(self) -> bytes:
        """Return the samples as little-endian float64."""
        return np.frombuffer(self._values, dtype=np.float64).astype("<f8").tobytes()


def replay_columns(
    entry: CompiledEntry, spec: CsvReplay, access: FileAccess, budget: Budget
) -> list[tuple[CompiledEntry, ReplayColumn]]:
    """Return an entry and its data for each column of the file, with the rate that the file implies.

    Raises:
        DecodeError: the file or a column of it cannot be replayed.
        CompileError: 422, several columns behind a gate.
    """
    check_columns(spec)
    check_timescale("csv_replay", spec.timescale)
    content = budget.read(spec.file, access)
    with naming_file(spec.file):
        return _replay_content(entry, spec, content, budget)


def _replay_content(
    entry: CompiledEntry, spec: CsvReplay, content: bytes, budget: Budget
) -> list[tuple[CompiledEntry, ReplayColumn]]:
    lines = counted_lines(spec.file, content)
    first = next(lines, None)
    if first is None:
        raise DecodeError(f"csv_replay: file {quote(clip(spec.file))} has no non-comment, non-empty lines")
    header = read_header(first[1]) if is_header(first[1]) else None
    columns = used_columns(spec, header)
    number = number_parser(content)
    timestamps = Timestamps(spec.file, 0, has_header=header is not None)
    samples = [_Samples(column, number) for column in columns]
    for line, text in lines if header else chain([first], lines):
        cells = text.split(",")
        try:
            timestamps.add(cells[0], number(cells[0]))
        except ValueError:
            timestamps.add(cells[0], None)
        budget.take_cells(spec.file, len(columns))
        for sample in samples:
            sample.add(line, cells)
    rate = derived_rate("csv_replay", entry, timestamps, spec.timescale)
    _check_samples(entry, spec, samples, rate)
    if len(columns) > 1 and entry.while_ is not None:
        raise CompileError(
            f'configuration error: scenario id "{clip(entry.id or "(anonymous)")}": csv_replay multi-column expansion '
            "is not supported when `while:` is in use; specify a single column or remove the gate",
            422,
        )
    return [
        (
            msgspec.structs.replace(
                entry, name=sample.column.name, labels=entry.labels | sample.column.labels, rate=rate
            ),
            ReplayColumn(values=sample.packed(), repeat=spec.repeat),
        )
        for sample in samples
    ]


def derived_rate(kind: str, entry: CompiledEntry, timestamps: Timestamps, timescale: float) -> float:
    """Return the rate of a replay in rows per second, and log that it replaces another.

    Raises:
        DecodeError: the rows imply none.
    """
    interval_secs = timestamps.interval_secs()
    rate = timescale / interval_secs
    if not 0 < rate < math.inf:
        raise DecodeError(f"rate must be positive, got {number_text(rate)}")
    if abs(rate - entry.rate) > _SAME_RATE:
        logger.warning(
            "%s '%s': overriding rate=%s with derived rate=%s samples/s (CSV Δt=%ss, timescale=%s)",
            kind,
            clip(entry.name),
            number_text(entry.rate),
            number_text(rate),
            number_text(interval_secs),
            number_text(timescale),
        )
    return rate


def _check_samples(entry: CompiledEntry, spec: CsvReplay, samples: list[_Samples], rate: float) -> None:
    silent = SilentRows(plan_gap_windows(entry.gap_windows), rate)
    duration_ns = plan_duration(entry.duration)
    # Ticks stand at whole nanoseconds, rounded half up; one that falls on the end is not fired.
    held_ticks = None if duration_ns is None else math.ceil(Fraction(2 * duration_ns - 1, 2 * 10**9) * Fraction(rate))
    for sample in samples:
        if sample.fault is not None:
            raise DecodeError(sample.fault)
        check_blanks(sample.blank(), silent, repeat=spec.repeat, bursts=entry.bursts is not None, held_ticks=held_ticks)
