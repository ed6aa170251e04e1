"""GET /scenarios/metrics: the newest value of every series of all scenarios, for one scrape job.

Source: docs/http.md, "Scrape all".
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

import falcon

from common.families import CONTENT_TYPE
from common.states import State
from supervisor.engine.control_plane import ControlPlane, Scenario
from supervisor.http import scrape
from supervisor.http.errors import BadQuery
from supervisor.http.routes import Route, Serves

logger = logging.getLogger(__name__)

_STATES: Final = {state.wire: state for state in State}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which scenarios are asked for.

    Attributes:
        labels: static labels that a scenario must have, all of them.
        states: the states it may be in; None is any.
    """

    labels: tuple[tuple[str, str], ...] = ()
    states: frozenset[State] | None = None

    def contains(self, scenario: Scenario) -> bool:
        """Return whether `scenario` is asked for."""
        static = scenario.entry.plan.labels
        return all(static.get(key) == value for key, value in self.labels) and (
            self.states is None or scenario.counters().state in self.states
        )


def selection(query: str) -> Selection:
    """Return what a raw query string asks for.

    Raises:
        BadQuery: a `label` or `include_state` that cannot be used.
    """
    labels, states = [], None
    for name, value in _parameters(query):
        if name == "label":
            labels.append(_label(value))
        elif name == "include_state":
            states = value
    return Selection(tuple(labels), None if states is None else _allowed(states))


class AggregateMetrics:
    """Current values of all scenarios, or of those selected; takes nothing from any buffer.

    Args:
        control_plane: knows the scenarios.
    """

    route = Route(Serves.READ)

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._contradictory: frozenset[str] = frozenset()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the scenarios in the order of their ids, those of one name together."""
        selected = selection(req.query_string)
        everything = sorted(self._control_plane.scenarios(), key=lambda scenario: scenario.id)
        scenarios = [scenario for scenario in everything if selected.contains(scenario)]
        scrape.check_bytes(
            sum(scenario.current_bytes() for scenario in scenarios), "select scenarios by `label` or `include_state`"
        )
        body, contradictory = scrape.aggregate(
            scrape.ShownEntry(scenario.entry, scenario.current(), _rank(scenario)) for scenario in scenarios
        )
        for name in sorted(contradictory - self._contradictory):
            logger.warning("scenarios of different metric types share the name %s, shown as untyped", name)
        self._contradictory = contradictory
        resp.content_type = CONTENT_TYPE
        resp.data = body

    on_head = on_get


def _rank(scenario: Scenario) -> tuple[bool, int]:
    """Return what decides between scenarios with one series: one that runs, then the one launched last."""
    return scenario.counters().state != State.FINISHED, scenario.launched_ns


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Yield each parameter, its value decoded; the name stands as it was sent."""
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        yield name, unquote_to_bytes(value.replace("+", " ").encode("latin-1")).decode(errors="replace")


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon:
        raise BadQuery(f"label filter '{text}' is malformed: expected 'key:value'")
    if not key:
        raise BadQuery(f"label filter '{text}' has an empty key")
    if not value:
        raise BadQuery(f"label filter '{text}' has an empty value")
    return key, value


def _allowed(text: str) -> frozenset[State]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise BadQuery("include_state requires at least one state name")
    for name in names:
        if name not in _STATES:
            raise BadQuery(f"unknown state name '{name}' in include_state — expected one of: {', '.join(_STATES)}")
    return frozenset(_STATES[name] for name in names)
