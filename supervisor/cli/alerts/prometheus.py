"""Whether a rule fires: the series `ALERTS` of a Prometheus. Source: Prometheus HTTP API, "v1"."""

import math
import time
from dataclasses import replace
from typing import Any, Final

from supervisor.cli.alerts.expectations import AlertState, Expectation, LabelSet, Observation
from supervisor.cli.queries import QueryError, endpoint_of, get, prometheus_data, unusable

_ATTEMPTS: Final = 3
_RETRY_SECS: Final = 1.0
_SAME_POINT_MS: Final = 1


class Prometheus:
    """A Prometheus, or what answers like one.

    Args:
        url: its address.
        timeout_secs: of one query.
        step_secs: distance of the points by which verdicts are given.
    """

    title = "Prometheus"

    def __init__(self, url: str, timeout_secs: float, step_secs: float) -> None:
        self.url = url
        self._timeout_secs = timeout_secs
        self._step_secs = step_secs
        self._offset = 0.0

    def look(self, expectation: Expectation) -> Observation:
        """Return the state now."""
        endpoint = endpoint_of(self.url, "/api/v1/query")
        data = self._data(endpoint, [("query", _selector(expectation))])
        result = data.get("result") or []
        if not isinstance(result, list):
            raise unusable(endpoint, "data.result is not an array")
        metrics = [_labels(endpoint, entry) for entry in result]
        firing = [metric for metric in metrics if metric.get("alertstate") == "firing"]
        state: AlertState = "firing" if firing else "pending" if metrics else "inactive"
        return Observation(0, state, firing=firing)

    def measure_clock(self) -> float:
        """Return how far the server's clock is ahead, by the time that it evaluates at."""
        endpoint = endpoint_of(self.url, "/api/v1/query")
        before = time.time()
        data = self._data(endpoint, [("query", "time()")])
        middle = (before + time.time()) / 2
        try:
            result = data["result"]
            stamp = result[0] if data.get("resultType") == "scalar" else result[0]["value"][0]
            self._offset = float(stamp) - middle
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise unusable(endpoint, "time() has no evaluation timestamp") from exc
        return self._offset

    def firing_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return the samples since the start, unless they contradict what was seen firing."""
        saw = any(seen.state == "firing" for seen in live)
        return self._timeline(
            "firing", expectation, live, anchor, warnings, lambda ranged: saw and not _any_firing(ranged)
        )

    def resolution_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return the samples since the end, unless they contradict that nothing fired any more."""
        saw = any(seen.state not in (None, "firing") for seen in live)
        return self._timeline(
            "resolution", expectation, live, anchor, warnings, lambda ranged: saw and _ends_firing(ranged)
        )

    def _timeline(
        self,
        what: str,
        expectation: Expectation,
        live: list[Observation],
        anchor: float,
        warnings: list[str],
        contradicts: Any,
    ) -> list[Observation]:
        server_anchor = anchor + self._offset
        deadline = expectation.firing_secs if what == "firing" else expectation.resolves_secs
        settled = live[-1].secs if live else deadline + self._step_secs
        reason = "the range is empty"
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_RETRY_SECS)
            end = min(server_anchor + settled + self._step_secs, time.time() + self._offset)
            if end <= server_anchor:
                break
            try:
                ranged = self._range(expectation, server_anchor, end)
            except QueryError as exc:
                reason = f"range query failed: {exc}"
                continue
            if not contradicts(ranged):
                return ranged
            reason = "range data lags what live polling observed"
        warnings.append(f"{what} verdict for {expectation.alert} uses the live poll timeline ({reason})")
        return live

    def _range(self, expectation: Expectation, start: float, end: float) -> list[Observation]:
        endpoint = endpoint_of(self.url, "/api/v1/query_range")
        parameters = [
            ("query", _selector(expectation)),
            ("start", f"{start:.3f}"),
            ("end", f"{end:.3f}"),
            ("step", f"{self._step_secs:.3f}"),
        ]
        data = self._data(endpoint, parameters)
        if data.get("resultType") != "matrix":
            raise unusable(endpoint, f'expected resultType "matrix", got "{data.get("resultType")}"')
        series = [(_labels(endpoint, entry), _instants(endpoint, entry)) for entry in data.get("result") or []]
        count = math.floor((end - start) / self._step_secs) + 1
        return [self._point(series, start + index * self._step_secs, index * self._step_secs) for index in range(count)]

    def _point(self, series: list[tuple[LabelSet, set[int]]], stamp: float, secs: float) -> Observation:
        key = round(stamp * 1000)
        near = range(key - _SAME_POINT_MS, key + _SAME_POINT_MS + 1)
        here = [labels for labels, instants in series if any(instant in instants for instant in near)]
        firing = [labels for labels in here if labels.get("alertstate") == "firing"]
        state: AlertState = "firing" if firing else "pending" if here else "inactive"
        return replace(Observation(max(secs, 0.0), state), firing=firing)

    def _data(self, endpoint: str, parameters: list[tuple[str, str]]) -> dict[str, Any]:
        return prometheus_data(endpoint, get(endpoint, parameters, self._timeout_secs).body)


def _selector(expectation: Expectation) -> str:
    labels = {"alertname": expectation.alert} | dict(sorted(expectation.labels.items()))
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"ALERTS{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labels(endpoint: str, entry: Any) -> LabelSet:
    metric = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(metric, dict):
        raise unusable(endpoint, "a series has no labels")
    return {str(key): str(value) for key, value in metric.items()}


def _instants(endpoint: str, entry: Any) -> set[int]:
    try:
        return {round(float(sample[0]) * 1000) for sample in entry["values"]}
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise unusable(endpoint, "a series has no samples") from exc


def _any_firing(ranged: list[Observation]) -> bool:
    return any(seen.state == "firing" for seen in ranged)


def _ends_firing(ranged: list[Observation]) -> bool:
    return bool(ranged) and ranged[-1].state == "firing"
