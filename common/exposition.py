"""Samples to Prometheus text: what a scrape answers, and how the `prometheus_text` encoder spells series.

Source: docs/formats.md, "Prometheus text".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels
from common.numbers import Text

_VALUE_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_NS_PER_MS: Final = 1_000_000


def escape_label_value(text: str) -> str:
    r"""Return `text` with `\`, `"` and line feeds escaped; everything else stays as it is."""
    return text.translate(_VALUE_ESCAPES)


def series_text(name: str, labels: Labels) -> str:
    """Return `name{key="value",…}`, without braces when there are no labels."""
    if not labels:
        return name
    pairs = ",".join(f'{key}="{escape_label_value(value)}"' for key, value in labels)
    return f"{name}{{{pairs}}}"


def metadata_text(name: str, metric_type: str, help_text: str | None = None) -> bytes:
    """Return the `# HELP` line, when there is a help text, and the `# TYPE` line of a metric family."""
    type_line = f"# TYPE {name} {metric_type}\n"
    if help_text is None:
        return type_line.encode()
    return f"# HELP {name} {help_text.translate(_HELP_ESCAPES)}\n{type_line}".encode()


def exposition(series: Sequence[str], values: NDArray[np.float64], stamps_ns: NDArray[np.int64] | None = None) -> bytes:
    """Return one line a sample.

    Args:
        series: the series of each sample, as `series_text` spells it.
        values: float64[n].
        stamps_ns: int64[n], ns since the epoch, printed as whole milliseconds; None prints no timestamps.
    """
    if not series:
        return b""
    numbers = Text().column(values).decode().split(",")
    if stamps_ns is None:
        lines = [f"{name} {number}\n" for name, number in zip(series, numbers, strict=True)]
    else:
        stamps_ms = (stamps_ns // _NS_PER_MS).tolist()
        lines = [
            f"{name} {number} {stamp_ms}\n" for name, number, stamp_ms in zip(series, numbers, stamps_ms, strict=True)
        ]
    return "".join(lines).encode()
