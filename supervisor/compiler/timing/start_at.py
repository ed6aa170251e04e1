"""`start_at`: the instant at which a run starts, the same on every host.

Source: docs/http.md, "Start".
"""

import re
from typing import Final

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.compiler.timing.start_time import parse_instant

LATEST_NS: Final = 1_000_000_000
"""How far in the past a start may lie: its ticks are made up for."""

FARTHEST_NS: Final = 86_400 * 1_000_000_000
"""How far ahead a start may lie."""

_SECONDS: Final = re.compile(r"(\d{1,11})(?:\.(\d+))?", re.ASCII)


def parse_start_at(text: str, wall_ns: int, *, resumes: bool = False) -> int:
    """Return the instant that a text says, in ns since the epoch.

    Args:
        text: RFC 3339, or decimal seconds since the epoch.
        wall_ns: now, ns since the epoch.
        resumes: whether the run has started already, so that the instant may lie in the past.

    Raises:
        ValueError: it says none, or one that is too far away; with the text for whoever wrote it.
    """
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        whole, fraction = seconds.groups()
        instant_ns = int(whole) * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
    else:
        try:
            said = f"{quote(clip(text))} is neither an RFC 3339 timestamp nor a number of seconds since the epoch"
            instant_ns = parse_instant(text, said)
        except DecodeError as exc:
            raise ValueError(str(exc)) from exc
    if instant_ns < wall_ns - LATEST_NS and not resumes:
        raise ValueError(f"{text} lies {_span(wall_ns - instant_ns)} in the past, at most 1 s is accepted")
    if instant_ns > wall_ns + FARTHEST_NS:
        raise ValueError(f"{text} lies {_span(instant_ns - wall_ns)} ahead, at most 24 h are accepted")
    return instant_ns


def _span(span_ns: int) -> str:
    seconds = span_ns / 1e9
    return f"{seconds:.1f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"
