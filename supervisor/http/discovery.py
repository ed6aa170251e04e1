"""GET /sd/prometheus: what Prometheus is to scrape, a target for each scenario, so that nobody copies ids.

Source: docs/dashboards.md, "Prometheus"; Prometheus, "HTTP SD".
"""

import falcon
import msgspec

from supervisor.engine.control_plane import ControlPlane, Scenario
from supervisor.http.aggregate import selection
from supervisor.http.errors import BadQuery
from supervisor.http.routes import Route, Serves


class TargetGroup(msgspec.Struct, frozen=True):
    """A target, and the labels that its series get; those that begin with two underscores are for the scrape itself."""

    targets: list[str]
    labels: dict[str, str]


class PrometheusTargets:
    """The targets of the scenarios that emit numbers.

    Args:
        control_plane: knows the scenarios.
    """

    route = Route(Serves.READ)

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a target group for each scenario, at the address under which the daemon was asked."""
        mode = req.params.get("mode", "snapshot")
        if mode not in ("snapshot", "drain"):
            raise BadQuery("query parameter mode: expected snapshot or drain, once")
        selected = selection(req.query_string)
        groups = [
            TargetGroup([req.netloc], _labels(scenario, str(mode)))
            for scenario in self._control_plane.scenarios()
            if scenario.entry.plan.signal_type != "logs" and selected.contains(scenario)
        ]
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(groups)

    on_head = on_get


def _labels(scenario: Scenario, mode: str) -> dict[str, str]:
    """Return the labels of a target: how it is scraped, and what its series are called beside their own labels."""
    scrape = {"__metrics_path__": f"/scenarios/{scenario.id}/metrics", "__param_mode": mode}
    shown = {"id": scenario.id, "name": scenario.entry.plan.name}
    if scenario.scenario_name is not None:
        shown["scenario_name"] = scenario.scenario_name
    return scrape | shown
