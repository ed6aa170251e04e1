"""Which columns of a file a metric replay uses, under which names and labels.

Source: docs/scenarios.md, "Replays".
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.compiler.language.kinds import CsvReplay
from supervisor.compiler.replays.csv_text import WHITE_SPACE, split_quoted


@dataclass(frozen=True)
class UsedColumn:
    """A column to replay."""

    index: int
    name: str
    labels: dict[str, str]


class HeaderCell(NamedTuple):
    """What a header cell says: a metric name or none, and labels."""

    name: str | None
    labels: dict[str, str]


def check_columns(spec: CsvReplay) -> None:
    """Raise DecodeError for a list of columns that names none, or one twice."""
    if spec.columns is None:
        return
    if not spec.columns:
        raise DecodeError("csv_replay: 'columns' must not be empty; provide at least one column spec or omit the field")
    indices: set[int] = set()
    names: set[str] = set()
    for column in spec.columns:
        if column.index in indices:
            raise DecodeError(f"csv_replay: duplicate column index {column.index}; each column index must be unique")
        if column.name in names:
            raise DecodeError(
                f"csv_replay: duplicate column name '{clip(column.name)}'; each column name must be unique"
            )
        indices.add(column.index)
        names.add(column.name)


def used_columns(spec: CsvReplay, header: list[HeaderCell] | None) -> list[UsedColumn]:
    """Return the columns that `spec` lists, or all of the header but the first.

    Raises:
        DecodeError: no header to find columns in, none in it, or one without a name.
    """
    if spec.columns is not None:
        return [
            UsedColumn(
                column.index,
                column.name,
                (header[column.index].labels if header and column.index < len(header) else {}) | (column.labels or {}),
            )
            for column in spec.columns
        ]
    if header is None:
        raise DecodeError(
            "csv_replay: CSV file has no header row (first data line is all numeric); provide explicit 'columns' in "
            "the config"
        )
    if len(header) < 2:
        raise DecodeError("csv_replay: no data columns found after skipping column 0")
    return _named(list(enumerate(header))[1:], spec.default_metric_name)


def read_header(line: str) -> list[HeaderCell]:
    """Return the cells of a header line.

    Raises:
        DecodeError: a label block outside its grammar.
    """
    return [_header_cell(cell.strip(WHITE_SPACE)) for cell in split_quoted(line)]


def _named(cells: list[tuple[int, HeaderCell]], fallback: str | None) -> list[UsedColumn]:
    names = {cell.name for _, cell in cells}
    nameless = Counter(cell.name is None for _, cell in cells)[True]
    columns = []
    for index, (name, labels) in cells:
        if name is None:
            if fallback is None:
                raise DecodeError(
                    f"csv_replay: column {index} has no metric name (header has labels only with no __name__); set "
                    "'default_metric_name' on the generator config"
                )
            name = f"{fallback}_{index}" if nameless > 1 else fallback
            if name in names:
                raise DecodeError(
                    f"csv_replay: default_metric_name produced '{clip(name)}' for column {index} which collides with "
                    "an explicitly named column. Rename the conflicting __name__ in the CSV header or set a different "
                    "'default_metric_name'."
                )
        columns.append(UsedColumn(index, name, labels))
    return columns


def _header_cell(cell: str) -> HeaderCell:
    before, brace, rest = cell.partition("{")
    if not brace:
        return HeaderCell(cell or None, {})
    block, closing, _ = rest.rpartition("}")
    if not closing:
        raise DecodeError("csv_header: unmatched '{' — missing closing '}'")
    labels = _label_pairs(block)
    if before:
        return HeaderCell(before.strip(WHITE_SPACE), labels)
    return HeaderCell(labels.pop("__name__", None), labels)


def _label_pairs(block: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    rest = block.strip(WHITE_SPACE)
    while rest:
        key, equals, value = rest.partition("=")
        if not equals:
            raise DecodeError(f"csv_header: expected '=' in label pair, got: {quote(clip(rest))}")
        key = key.strip(WHITE_SPACE)
        if not key:
            raise DecodeError("csv_header: empty label key")
        value = value.lstrip(WHITE_SPACE)
        if value.startswith('"'):
            labels[key], rest = _quoted_value(value[1:])
        else:
            raw, _, rest = value.partition(",")
            labels[key] = raw.strip(WHITE_SPACE)
            continue
        rest = rest.lstrip(WHITE_SPACE).removeprefix(",").lstrip(WHITE_SPACE)
    return labels


def _quoted_value(text: str) -> tuple[str, str]:
    """Return the value up to its closing quote, a backslash making the next character literal, and what follows."""
    parts: list[str] = []
    characters = iter(range(len(text)))
    for place in characters:
        if text[place] == '"':
            return "".join(parts), text[place + 1 :]
        if text[place] == "\\":
            place = next(characters, -1)
            if place < 0:
                raise DecodeError("csv_header: unterminated escape in quoted value")
        parts.append(text[place])
    raise DecodeError("csv_header: unterminated quoted value")
