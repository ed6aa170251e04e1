"""A capture: one range query of Prometheus becomes a CSV file and the scenario that replays it.

Source: docs/command-line.md, "Captures".
"""

import math
import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from common.errors import DecodeError, DurationError
from common.units import duration_secs, number_text
from supervisor.cli.failures import CommandError
from supervisor.cli.queries import QueryError, endpoint_of, get, prometheus_data, unusable
from supervisor.cli.writing.capture_blocks import Captured, GridSeries, capture_csv, capture_scenario
from supervisor.cli.writing.document import deliver, write_file
from supervisor.compiler.planning.plans import check_metric_name

MAX_SERIES: Final = 20
MAX_POINTS: Final = 100_000
"""Of one capture: nine times what a Prometheus answers by default."""

_TIMEOUT_SECS: Final = 60.0
_TOKEN_VARIABLE: Final = "SONDA_PROM_TOKEN"  # noqa: S105 - the name of a variable
_ON_GRID_SECS: Final = 0.0005


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What was typed."""

    url: str
    query: str
    step: str
    out: str
    range_: str | None = None
    start: str | None = None
    end: str | None = None
    timescale: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    metric_name: str | None = None


@dataclass(frozen=True, slots=True)
class _Grid:
    start: float
    end: float
    step: float

    @property
    def points(self) -> int:
        return math.floor((self.end - self.start) / self.step + 1e-9) + 1

    def stamps(self) -> list[float]:
        return [self.start + index * self.step for index in range(self.points)]

    def place(self, stamp: float) -> int | None:
        """Return the point that a sample belongs to."""
        index = round((stamp - self.start) / self.step)
        is_near = abs(self.start + index * self.step - stamp) <= _ON_GRID_SECS
        return index if 0 <= index < self.points and is_near else None


def capture(request: CaptureRequest, output: str | None) -> int:
    """Query, write the CSV file, then write or print the scenario; returns the exit code.

    Raises:
        CommandError: the first check that fails; before the answer is judged nothing is written.
    """
    grid = _grid(request)
    timescale = 1.0 if request.timescale is None else request.timescale
    if not 0 < timescale < math.inf:
        raise CommandError(f"--timescale must be a positive finite number, got {number_text(timescale)}")
    if request.metric_name is not None:
        try:
            check_metric_name(request.metric_name)
        except DecodeError as exc:
            raise CommandError(f"--metric-name: configuration error: {exc}") from exc
    if grid.points < 2:
        raise CommandError(
            f"--step {request.step} leaves {grid.points} point(s) of the window; a capture needs 2 at least: "
            "make --step smaller or the window longer"
        )
    if grid.points > MAX_POINTS:
        raise CommandError(
            f"--step {request.step} makes {grid.points} points of the window, at most {MAX_POINTS} are captured: make "
            "--step larger or the window shorter"
        )
    series = _series(request, grid)
    captured = Captured(series, grid.stamps(), timescale)
    try:
        text = capture_csv(captured)
    except DecodeError as exc:
        raise CommandError(f"building the capture CSV: configuration error: {exc}") from exc
    write_file(request.out, text)
    try:
        scenario = capture_scenario(captured, request.out)
    except DecodeError as exc:
        raise CommandError(f"building the scenario for the capture: configuration error: {exc}") from exc
    missing = sum(value is None for one in series for value in one.values)
    click.echo(
        f"captured {len(series)} series over {grid.points} points to {request.out} "
        f"({missing} missing sample{'' if missing == 1 else 's'})",
        err=True,
    )
    return deliver(scenario, output)


def _grid(request: CaptureRequest) -> _Grid:
    step = _duration("--step", request.step)
    if request.range_ is not None and (request.start is not None or request.end is not None):
        raise CommandError("--range and --start/--end are alternatives; pass one")
    if request.range_ is not None:
        end = time.time()
        return _Grid(end - _duration("--range", request.range_), end, step)
    if request.start is None and request.end is None:
        raise CommandError("a capture needs a window: pass --range, or --start and --end")
    if request.start is None or request.end is None:
        raise CommandError("--start and --end go together; pass both, or use --range")
    start, end = _instant(request.start), _instant(request.end)
    if end <= start:
        raise CommandError(f"--end ({request.end}) must be after --start ({request.start})")
    return _Grid(start, end, step)


def _duration(flag: str, text: str) -> float:
    try:
        return duration_secs(text)
    except DurationError as exc:
        raise CommandError(f'{flag} "{text}" is not a duration: configuration error: {exc}') from exc


def _instant(text: str) -> float:
    try:
        seconds = float(text)
        if math.isfinite(seconds) and "_" not in text:
            return seconds
        reason = "not a finite number"
    except ValueError:
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is not None:
                return round(instant.timestamp(), 3)
            reason = "it has no offset from UTC"
        except ValueError:
            reason = "expected for example 1767225600 or 2026-01-01T00:00:00Z"
    raise CommandError(f'"{text}" is neither unix seconds nor an RFC 3339 timestamp: {reason}')


def _series(request: CaptureRequest, grid: _Grid) -> list[GridSeries]:
    endpoint = endpoint_of(request.url, "/api/v1/query_range")
    parameters = [
        ("query", request.query),
        ("start", f"{grid.start:.3f}"),
        ("end", f"{grid.end:.3f}"),
        ("step", f"{grid.step:.3f}"),
    ]
    try:
        data = prometheus_data(endpoint, get(endpoint, parameters, _TIMEOUT_SECS, _headers(request)).body)
        found = _matrix(endpoint, data, grid)
    except QueryError as exc:
        raise CommandError(f"the range query failed: {exc}") from exc
    if not found:
        raise CommandError("the query matched no series over that range; widen --range or check --query")
    if len(found) > MAX_SERIES:
        raise CommandError(
            f"the query matched {len(found)} series, over the cap of {MAX_SERIES}. Narrow it with label matchers or an "
            "aggregation such as sum by (job) (...), which needs --metric-name"
        )
    nameless = sum("__name__" not in one.labels for one in found)
    if nameless and request.metric_name is None:
        raise CommandError(
            f"{nameless} of {len(found)} series carry no metric name. Name them with --metric-name <NAME>"
        )
    return [
        one
        if "__name__" in one.labels
        else GridSeries({"__name__": str(request.metric_name), **one.labels}, one.values)
        for one in found
    ]


def _headers(request: CaptureRequest) -> list[tuple[str, str]]:
    token = os.environ.get(_TOKEN_VARIABLE)
    if not token:
        return list(request.headers)
    if any(name.lower() == "authorization" for name, _ in request.headers):
        click.echo(
            f"note: --header Authorization overrides {_TOKEN_VARIABLE}; the environment token is unused", err=True
        )
        return list(request.headers)
    return [("Authorization", f"Bearer {token}"), *request.headers]


def _matrix(endpoint: str, data: dict[str, Any], grid: _Grid) -> list[GridSeries]:
    if data.get("resultType") != "matrix":
        raise unusable(endpoint, f'expected resultType "matrix", got "{data.get("resultType")}"')
    result = data.get("result")
    if not isinstance(result, list):
        raise unusable(endpoint, "data.result is not an array")
    return [_one(endpoint, index, entry, grid) for index, entry in enumerate(result)]


def _one(endpoint: str, index: int, entry: Any, grid: _Grid) -> GridSeries:
    samples = entry.get("values") if isinstance(entry, dict) else None
    if not isinstance(samples, list):
        raise unusable(endpoint, f'series {index}: "values" is missing or not an array')
    labels = entry.get("metric")
    labels = labels if isinstance(labels, dict) else {}
    for key, value in labels.items():
        if not isinstance(value, str):
            raise unusable(endpoint, f'series {index}: label "{key}" is not a string')
    values: list[float | None] = [None] * grid.points
    for number, sample in enumerate(samples):
        stamp, value = _sample(endpoint, f"series {index} sample {number}", sample)
        place = grid.place(stamp)
        if place is not None:
            values[place] = value
    return GridSeries(labels, values)


def _sample(endpoint: str, said: str, sample: Any) -> tuple[float, float]:
    if not isinstance(sample, list):
        raise unusable(endpoint, f"{said}: not a [timestamp, value] pair")
    if len(sample) != 2:
        raise unusable(endpoint, f"{said}: expected 2 elements, got {len(sample)}")
    stamp, value = sample
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        raise unusable(endpoint, f"{said}: timestamp is not a number")
    if not isinstance(value, str):
        raise unusable(endpoint, f"{said}: value is not a string")
    try:
        # What Python alone takes for a number.
        return float(stamp), float(value.replace("_", "?"))
    except ValueError as exc:
        raise unusable(endpoint, f'{said}: value "{value}" does not parse as a number') from exc
