"""Every bound of the compiler stands in the table that users read."""

from pathlib import Path

import pytest

from common import plan, specs
from supervisor.compiler import compiled
from supervisor.compiler.language import blocks, interpolate, log_events
from supervisor.compiler.packs import catalog
from supervisor.compiler.replays import csv_text, log_replay, metric_replay
from supervisor.reading import nodes, yaml_text

TEXT = (Path(__file__).parents[5] / "docs" / "scenarios.md").read_text().partition("## Limits")[2]


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        ("depth of nested", [nodes.MAX_DEPTH]),
        ("nodes added by YAML aliases", [yaml_text.MAX_COPIED_NODES]),
        ("characters added by", [interpolate.MAX_INSERTED_CHARS]),
        ("entries of a body", [blocks.MAX_ENTRIES]),
        ("labels of one map", [blocks.MAX_LABELS]),
        ("name and labels of an entry", [compiled.MAX_LABEL_BYTES]),
        ("`dynamic_labels`;", [blocks.MAX_DYNAMIC_LABELS, blocks.MAX_DYNAMIC_VALUES]),
        ("`cardinality_spikes`", [plan.MAX_LABEL_SPIKES]),
        ("`gap_windows`", [blocks.MAX_GAP_WINDOWS]),
        ("values of a `sequence`", [specs.MAX_SEQUENCE_VALUES]),
        ("`buckets`, `quantiles`", [blocks.MAX_BUCKETS, blocks.MAX_QUANTILES]),
        ("`observations_per_tick`", [blocks.MAX_OBSERVATIONS]),
        ("log templates;", [specs.MAX_TEMPLATES, specs.MAX_POOLS, specs.MAX_POOL_VALUES]),
        ("one log event", [log_events.MAX_EVENT_BYTES]),
        ("bytes of all files", [csv_text.MAX_CSV_BYTES, log_replay.MAX_LOG_BYTES]),
        ("cells of all replays", [metric_replay.MAX_CELLS]),
        ("characters of a line", [csv_text.MAX_LINE_CHARS]),
        ("bytes of a pack", [catalog.MAX_FILE_BYTES]),
    ],
)
def test_limits_are_documented(row: str, limits: list[int]) -> None:
    """Each limit is in the row that names it."""
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {row}"))
    for limit in limits:
        assert f"{limit:,}".replace(",", " ") in line
