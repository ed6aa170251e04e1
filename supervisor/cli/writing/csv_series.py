"""The columns of a CSV file as numbers in a row. Source: docs/command-line.md, "new"."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import DecodeError
from supervisor.cli.failures import CommandError
from supervisor.compiler.packs.catalog import read_text
from supervisor.compiler.replays.csv_columns import HeaderCell, read_header
from supervisor.compiler.replays.csv_text import WHITE_SPACE, is_header, is_number, split_quoted


@dataclass(frozen=True, slots=True)
class ColumnSeries:
    """A column with at least one number.

    Attributes:
        values: its numbers in file order; what is no number is left out.
    """

    name: str
    labels: dict[str, str]
    values: list[float] = field(default_factory=list)


def read_series(path: str) -> list[ColumnSeries]:
    """Return the columns of a file, less the first, which is time, unless there is no other.

    Raises:
        CommandError: the file cannot be read, or has no numbers.
    """
    try:
        text = read_text(Path(path))
    except DecodeError as exc:
        raise CommandError(f"failed to read CSV file: {path}: {exc}") from exc
    lines = [line for line in (raw.strip(WHITE_SPACE) for raw in text.split("\n")) if line and line[0] != "#"]
    if not lines:
        raise CommandError(f"CSV file is empty: {path}")
    header, rows = _header(lines)
    count = len(split_quoted(rows[0])) if rows else len(header)
    columns = [
        ColumnSeries(*_named(index, header[index] if index < len(header) else HeaderCell(None, {})))
        for index in (range(1, count) if count > 1 else range(1))
    ]
    first = 1 if count > 1 else 0
    for row in rows:
        cells = row.split(",")
        for place, series in enumerate(columns, first):
            cell = cells[place] if place < len(cells) else ""
            if is_number(cell) and math.isfinite(value := float(cell.strip(WHITE_SPACE))):
                series.values.append(value)
    found = [series for series in columns if series.values]
    if not found:
        raise CommandError(f"no numeric data found in selected columns of {path}")
    return found


def _header(lines: list[str]) -> tuple[list[HeaderCell], list[str]]:
    if not is_header(lines[0]):
        return [], lines
    try:
        return read_header(lines[0]), lines[1:]
    except DecodeError as exc:
        raise CommandError(f"failed to parse CSV header: configuration error: {exc}") from exc


def _named(index: int, cell: HeaderCell) -> tuple[str, dict[str, str]]:
    return cell.name or f"column_{index}", cell.labels
