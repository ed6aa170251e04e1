"""Columns of samples to Prometheus text: what a scrape answers.

Source: docs/formats.md, "Prometheus text".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.numbers import Text

_NS_PER_MS: Final = 1_000_000


def exposition(series: Sequence[str], values: NDArray[np.float64], stamps_ns: NDArray[np.int64] | None = None) -> bytes:
    """Return one line a sample.

    Args:
        series: the series of each sample, as `common.families.series_text` spells it.
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
