"""New files from a template or from the shapes of a CSV file's columns. Source: docs/command-line.md, "new"."""

import re
from collections import Counter
from typing import Any, Final

from supervisor.cli.writing.csv_series import ColumnSeries, read_series
from supervisor.cli.writing.document import HEAD, Quoted, block, defaults, items
from supervisor.cli.writing.patterns import detect

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def template_text() -> str:
    """Return the smallest file that runs."""
    entry = {
        "id": "example",
        "signal_type": "metrics",
        "name": "example_metric",
        "generator": {"type": "constant", "value": 1.0},
    }
    return HEAD + _lines({"defaults": defaults()}) + "\nscenarios:\n" + "\n".join(items([entry], 2)) + "\n"


def csv_text(path: str) -> str:
    """Return a file with an entry for each column that has numbers.

    Raises:
        CommandError: the CSV file cannot be used.
    """
    return entries_text(_entries(read_series(path)), defaults())


def entries_text(entries: list[dict[str, Any]], shared: dict[str, Any]) -> str:
    """Return a file with these entries, a blank line behind each."""
    written = "".join("\n".join(items([entry], 2)) + "\n\n" for entry in entries)
    return HEAD + "\n" + _lines({"defaults": shared}) + "\nscenarios:\n" + written


def _entries(found: list[ColumnSeries]) -> list[dict[str, Any]]:
    seen: Counter[str] = Counter()
    entries = []
    for series in found:
        pattern = detect(series.values)
        identifier = _identifier(series.name)
        seen[identifier] += 1
        entry: dict[str, Any] = {
            "id": identifier if seen[identifier] == 1 else f"{identifier}_{seen[identifier]}",
            "signal_type": "metrics",
            "name": series.name if _METRIC_NAME.fullmatch(series.name) else identifier,
            "generator": {"type": pattern.kind}
            | {key: Quoted(value) if isinstance(value, str) else value for key, value in pattern.parameters.items()},
        }
        if series.labels:
            entry["labels"] = dict(sorted(series.labels.items()))
        entries.append(entry)
    return entries


def _identifier(name: str) -> str:
    identifier = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{identifier}" if identifier[0].isdigit() else identifier


def _lines(value: dict[str, Any]) -> str:
    return "\n".join(block(value)) + "\n"
