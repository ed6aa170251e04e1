"""Whether a notification arrived: the alerts of an Alertmanager. Source: Alertmanager API, "v2"."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from supervisor.cli.alerts.expectations import Expectation, LabelSet, Observation
from supervisor.cli.queries import endpoint_of, get, json_of, unusable

_COUNTED: Final = ("active", "suppressed", "unprocessed")
_PROBE: Final = 'alertname="sonda-clock-probe"'


class Alertmanager:
    """An Alertmanager.

    Args:
        url: its address.
        timeout_secs: of one query.
    """

    title = "Alertmanager"

    def __init__(self, url: str, timeout_secs: float) -> None:
        self.url = url
        self._timeout_secs = timeout_secs
        self._offset = 0.0

    def look(self, expectation: Expectation) -> Observation:
        """Return what it holds now; there is no pending state."""
        endpoint = endpoint_of(self.url, "/api/v2/alerts")
        fetched = get(endpoint, [("filter", text) for text in _filters(expectation)], self._timeout_secs)
        alerts = json_of(endpoint, fetched.body)
        if not isinstance(alerts, list):
            raise unusable(endpoint, "not a JSON array")
        counted = list(self._counted(expectation, alerts))
        starts = [start for alert in counted if (start := _instant(alert.get("startsAt"))) is not None]
        return Observation(
            0,
            "firing" if counted else "inactive",
            firing=[_labels(alert) for alert in counted],
            started_at=min(starts, default=None),
            suppressed=any(_state(alert) == "suppressed" for alert in counted),
        )

    def measure_clock(self) -> float:
        """Return how far the server's clock is ahead, by the `Date` of an answer."""
        endpoint = endpoint_of(self.url, "/api/v2/alerts")
        before = time.time()
        fetched = get(endpoint, [("filter", _PROBE)], self._timeout_secs)
        middle = (before + time.time()) / 2
        try:
            self._offset = parsedate_to_datetime(fetched.headers["Date"]).timestamp() - middle
        except (TypeError, ValueError) as exc:
            raise unusable(endpoint, "the answer has no usable Date header") from exc
        return self._offset

    def firing_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return what polling saw; the first firing look is dated by when the alert began, as far as looks allow it."""
        if any(seen.suppressed for seen in live):
            warnings.append(f"{expectation.alert} is suppressed (silenced or inhibited) and counts as firing")
        index = next((index for index, seen in enumerate(live) if seen.state == "firing"), None)
        starts = [seen.started_at for seen in live if seen.started_at is not None]
        if index is None or not starts:
            return live
        floors = [seen.secs for seen in live[:index] if seen.state is not None]
        if not floors or floors[-1] >= live[index].secs:
            return live
        stamp = min(starts) - self._offset
        secs = min(max(stamp - anchor, floors[-1]), live[index].secs)
        return [*live[:index], replace(live[index], secs=secs), *live[index + 1 :]]

    def resolution_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return what polling saw."""
        del expectation, anchor, warnings
        return live

    def _counted(self, expectation: Expectation, alerts: list[Any]) -> Iterator[dict[str, Any]]:
        now = time.time() + self._offset
        wanted = {"alertname": expectation.alert, **expectation.labels}
        for alert in alerts:
            if not isinstance(alert, dict) or _state(alert) not in _COUNTED:
                continue
            ends = _instant(alert.get("endsAt"))
            if wanted.items() <= _labels(alert).items() and (ends is None or ends > now):
                yield alert


def _filters(expectation: Expectation) -> list[str]:
    pairs = [("alertname", expectation.alert), *sorted(expectation.labels.items())]
    return [f'{key}="{_escaped(value)}"' for key, value in pairs]


def _escaped(value: str) -> str:
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        value = value.replace(character, escaped)
    return value


def _labels(alert: dict[str, Any]) -> LabelSet:
    labels = alert.get("labels")
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _state(alert: dict[str, Any]) -> str:
    status = alert.get("status")
    return str(status.get("state", "active")) if isinstance(status, dict) else "active"


def _instant(text: Any) -> float | None:
    """Return an RFC 3339 instant in seconds since the epoch; None for the zero time and what cannot be read."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return None if instant.year <= 1 else instant.timestamp()
