"""Log replays: the rows of a CSV file as log events, at the rate that its timestamps imply.

Source: docs/scenarios.md, "Replays".
"""

import logging
from itertools import chain
from typing import Final

import msgspec

from common.errors import DecodeError
from common.plan import FileAccess, ReplayRows
from common.units import clip, quote
from supervisor.compiler.compiled import CompiledEntry
from supervisor.compiler.language.kinds import LogColumns, LogCsvReplay
from supervisor.compiler.language.log_events import SEVERITY_CODES
from supervisor.compiler.replays.csv_text import WHITE_SPACE, counted_lines, is_header, number_parser, split_quoted
from supervisor.compiler.replays.metric_replay import Budget, derived_rate, naming_file
from supervisor.compiler.replays.rate import Timestamps, check_timescale

logger = logging.getLogger(__name__)

MAX_LOG_BYTES: Final = 32 * 1024 * 1024
"""Of a file of log events, which is sent to a worker as one message."""

MAX_COLUMNS: Final = 256

_CELLS_PER_TEXT: Final = 4
"""A text takes so many times the memory of a number."""

_TIMESTAMP_TITLES: Final = frozenset({"timestamp", "ts", "time"})
_SEVERITY_TITLES: Final = frozenset({"severity", "level"})
_MESSAGE_TITLES: Final = frozenset({"message", "msg", "log"})


class _Roles:
    """Which column has which role; every other one is a field."""

    def __init__(self, spec: LogCsvReplay, header: list[str]) -> None:
        self._titles = [_folded(title.strip(WHITE_SPACE)) for title in header]
        written = spec.columns or LogColumns()
        timestamp = self._find(written.timestamp, _TIMESTAMP_TITLES)
        if timestamp is None:
            raise DecodeError(
                f"log_csv_replay: no timestamp column found in CSV header of {quote(clip(spec.file))} (expected one "
                "of: timestamp, ts, time, or an explicit 'columns.timestamp' mapping)"
            )
        self.timestamp = timestamp
        self.severity = self._find(written.severity, _SEVERITY_TITLES)
        self.message = self._find(written.message, _MESSAGE_TITLES)
        with_role = {self.timestamp, self.severity, self.message}
        self.fields = [(index, title) for index, title in enumerate(header) if index not in with_role]

    def _find(self, name: str | None, usual: frozenset[str]) -> int | None:
        if name is None:
            return next((index for index, title in enumerate(self._titles) if title in usual), None)
        if _folded(name) not in self._titles:
            raise DecodeError(f'log_csv_replay: column "{clip(name)}" not found in CSV header')
        return self._titles.index(_folded(name))


class _Rows:
    """The events, column by column."""

    def __init__(self, roles: _Roles, default_severity: str) -> None:
        self._roles = roles
        self._default = SEVERITY_CODES[default_severity]
        self._severities = bytearray()
        self._messages: list[str] = []
        self._fields: dict[str, list[str | None]] = {title: [] for _, title in roles.fields}
        self.defaulted = 0

    def add(self, cells: list[str]) -> None:
        """Take the cells of the next row."""
        self._severities.append(self._severity(cells))
        self._messages.append(_cell(cells, self._roles.message))
        for values in self._fields.values():
            values.append(None)
        for index, title in self._roles.fields:
            value = _cell(cells, index).strip(WHITE_SPACE)
            if value:
                self._fields[title][-1] = value

    def plan(self, *, repeat: bool) -> ReplayRows:
        """Return everything taken."""
        return ReplayRows(
            severities=bytes(self._severities),
            messages=tuple(self._messages),
            fields={title: tuple(values) for title, values in self._fields.items()},
            repeat=repeat,
        )

    def _severity(self, cells: list[str]) -> int:
        if self._roles.severity is None:
            return self._default
        text = _cell(cells, self._roles.severity).strip(WHITE_SPACE).lower()
        code = SEVERITY_CODES.get(text)
        if code is None:
            self.defaulted += 1
            return self._default
        return code


def replay_rows(
    entry: CompiledEntry, spec: LogCsvReplay, access: FileAccess, budget: Budget
) -> tuple[CompiledEntry, ReplayRows]:
    """Return the entry with the rate that the file implies, and its events.

    Raises:
        DecodeError: the file cannot be replayed.
    """
    check_timescale("log_csv_replay", spec.timescale)
    content = budget.read(spec.file, access)
    with naming_file(spec.file):
        return _replay_content(entry, spec, content, budget)


def _replay_content(
    entry: CompiledEntry, spec: LogCsvReplay, content: bytes, budget: Budget
) -> tuple[CompiledEntry, ReplayRows]:
    if len(content) > MAX_LOG_BYTES:
        raise DecodeError(
            f"log_csv_replay: file {quote(clip(spec.file))} has {len(content)} bytes; at most {MAX_LOG_BYTES} may be "
            "replayed as log events"
        )
    lines = counted_lines(spec.file, content)
    first = next(lines, None)
    if first is None:
        raise DecodeError(f"log_csv_replay: file {quote(clip(spec.file))} has no header line")
    header = split_quoted(first[1])
    if len(header) > MAX_COLUMNS:
        raise DecodeError(
            f"log_csv_replay: file {quote(clip(spec.file))} has {len(header)} columns; at most {MAX_COLUMNS} may be "
            "replayed as log events"
        )
    roles = _Roles(spec, header)
    number = number_parser(content)
    has_header = is_header(first[1])
    timestamps = Timestamps(spec.file, roles.timestamp, has_header=has_header)
    rows = _Rows(roles, spec.default_severity)
    # A first line that looks like numbers is no header to the timestamps, and its title no timestamp.
    for _, text in lines if has_header else chain([first], lines):
        cells = split_quoted(text)
        budget.take_cells(spec.file, _CELLS_PER_TEXT * max(len(cells), len(header)))
        cell = _cell(cells, roles.timestamp)
        try:
            timestamps.add(cell, number(cell))
        except ValueError:
            timestamps.add(cell, None)
        rows.add(cells)
    rate = derived_rate("log_csv_replay", entry, timestamps, spec.timescale)
    if rows.defaulted:
        logger.info(
            "log_csv_replay '%s': %d row(s) used default_severity due to missing or unparseable severity values",
            clip(entry.name),
            rows.defaulted,
        )
    return msgspec.structs.replace(entry, rate=rate), rows.plan(repeat=spec.repeat)


def _cell(cells: list[str], index: int | None) -> str:
    return cells[index] if index is not None and index < len(cells) else ""


def _folded(text: str) -> str:
    """Return the text with ASCII letters made small, and no others."""
    return "".join(char.lower() if char.isascii() else char for char in text)
