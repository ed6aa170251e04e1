"""The WSGI application: which path is served by which resource.

Source: docs/http.md.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import falcon

from common.clock import Clock, SystemClock
from supervisor.compiler.language.schema import scenario_schema
from supervisor.compiler.paths import file_access
from supervisor.engine.control_plane import CapacityError, ControlPlane
from supervisor.engine.figures import Figures
from supervisor.http.admission import Admission, Rules
from supervisor.http.aggregate import AggregateMetrics
from supervisor.http.daemon import DaemonResource
from supervisor.http.discovery import PrometheusTargets
from supervisor.http.documents import ServedDocument
from supervisor.http.errors import handle_error
from supervisor.http.events import Events
from supervisor.http.health import Health, ReadyResource
from supervisor.http.library import CatalogFiles, Examples, Packs
from supervisor.http.observe import ScenarioMetrics, ScenarioStats
from supervisor.http.openapi import openapi
from supervisor.http.origins import Origins
from supervisor.http.own_metrics import ServerMetrics
from supervisor.http.page.files import routes as page_routes
from supervisor.http.page.root import LeadBrowsers
from supervisor.http.relay import routes as relay_routes
from supervisor.http.request_counts import CountRequests, RequestCounts
from supervisor.http.routes import Routes
from supervisor.http.scenarios import ScenarioCollection, ScenarioItem
from supervisor.intake.autostart import NOT_CONFIGURED, Readiness
from supervisor.intake.intake import Intake
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings

_CLOCK: Final = SystemClock()
_DESCRIPTION: Final = "/openapi.json"


class Api(NamedTuple):
    """The application, and who decides about its requests by their heads."""

    wsgi: falcon.App[falcon.Request, falcon.Response]
    admission: Admission


def build_app(
    control_plane: ControlPlane,
    settings: Settings,
    clock: Clock = _CLOCK,
    *,
    readiness: Callable[[], Readiness] = lambda: NOT_CONFIGURED,
    figures: Callable[[], Figures] = Figures,
    overloaded: Callable[[], bool] = bool,
    relay: RelayClient | None = None,
) -> Api:
    """Return the application; its requests may run in any thread but the main one.

    Args:
        control_plane: the way to the main loop.
        settings: key, limits and what scenario bodies may use.
        clock: for elapsed times.
        readiness: tells how far the autostart sweep is.
        figures: tells what the main loop knows about workers.
        overloaded: tells whether the machine cannot keep up.
        relay: the way to the relay; without one there are no routes that show it.
    """
    counts = RequestCounts()
    routing = Routes()
    admission = Admission(routing, _rules(control_plane, settings))
    middleware: list[Any] = [CountRequests(counts, clock), LeadBrowsers(), admission]
    app = falcon.App(middleware=middleware, router=routing.router)
    # An empty answer has no type; all others name theirs.
    app.resp_options.default_media_type = None  # type: ignore[assignment] # typed narrower than it works
    app.add_error_handler(Exception, handle_error)
    app.add_error_handler(falcon.HTTPError, handle_error)

    files = partial(file_access, settings.allowed_paths, settings.catalog, settings.state_dir)
    intake = Intake(control_plane, settings, clock)
    timeout_secs = settings.request_timeout_secs
    item = "/scenarios/{scenario_id:name}"
    own_metrics = ServerMetrics(control_plane, settings, counts, clock, readiness, figures, relay)
    daemon = DaemonResource(control_plane, settings, clock, readiness, figures, has_relay=relay is not None)
    routes: list[tuple[str, Any]] = [
        ("/health", Health(overloaded)),
        ("/ready", ReadyResource(readiness)),
        ("/schema", ServedDocument(scenario_schema())),
        ("/scenarios", ScenarioCollection(control_plane, intake, clock, timeout_secs)),
        ("/scenarios/metrics", AggregateMetrics(control_plane)),
        (item, ScenarioItem(control_plane, intake, clock, timeout_secs)),
        (f"{item}/stats", ScenarioStats(control_plane, clock)),
        (f"{item}/metrics", ScenarioMetrics(control_plane)),
        ("/events", Events(control_plane, files, clock, timeout_secs)),
        ("/metrics", own_metrics),
        ("/daemon", daemon),
        ("/sd/prometheus", PrometheusTargets(control_plane)),
        ("/examples", Examples()),
        ("/packs", Packs(settings)),
        ("/catalog", CatalogFiles(settings.catalog)),
        *([] if relay is None else relay_routes(relay)),
    ]
    description = openapi([*routes, (_DESCRIPTION, ServedDocument)], locked=settings.api_key is not None)
    for path, resource in (*routes, (_DESCRIPTION, ServedDocument(description)), *page_routes()):
        routing.check(path, resource)
        app.add_route(path, resource)
    return Api(app, admission)


def _rules(control_plane: ControlPlane, settings: Settings) -> Rules:
    def check_place() -> None:
        scenarios = control_plane.scenarios()
        if settings.max_scenarios and len(scenarios) >= settings.max_scenarios:
            raise CapacityError(scenarios, settings.max_scenarios)

    origins = Origins(
        is_guarded=settings.api_key is None,
        is_local=settings.is_local,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(settings.allowed_hosts),
    )
    return Rules(settings.api_key, settings.max_body_bytes, origins, check_place)
