"""The way of a scenario body into the daemon, the same for POST and for the autostart sweep.

text ──compile──► Compiled ──launch: name conflict ► runtime validation ► warnings ► capacity and start──► scenarios

Runs in the thread that brings the body. Source: docs/http.md, "Start"; docs/operating.md, "Log".
"""

import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from common.clock import Clock
from common.errors import CompileError
from common.logs import fields
from common.plan import EntryPlan, Plan, PlannedEntry, SegmentOf
from common.specs import File
from common.states import State
from common.tuning import Change
from supervisor.compiler import AS_IT_IS, Asked, BodyFormat, Compiled, Context, PackSources, compile_scenario, prepare
from supervisor.compiler.retuning import read_change
from supervisor.engine.control_plane import (
    CallTimeoutError,
    CapacityError,
    ControlPlane,
    LaunchError,
    NameConflict,
    Scenario,
)
from supervisor.intake.preflight import warnings as preflight_warnings
from supervisor.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What became of a body.

    Attributes:
        scenarios: in entry order.
        warnings: texts for the sender.
        segment: what a segment has of the body; None for a whole body.
    """

    scenarios: list[Scenario]
    warnings: list[str]
    segment: SegmentOf | None = None


class Intake:
    """Compiles bodies and launches them.

    Args:
        control_plane: starts scenarios and knows them.
        settings: what bodies may use.
        clock: for deadlines.
    """

    def __init__(self, control_plane: ControlPlane, settings: Settings, clock: Clock) -> None:
        self._control_plane = control_plane
        self._catalog_context = Context(
            environment=settings.environment,
            allowed_paths=settings.allowed_paths,
            state=settings.state_dir,
            packs=PackSources(catalog=settings.catalog, builtin=settings.builtin_packs),
        )
        self._context = replace(
            self._catalog_context,
            environment=settings.posted_environment,
            environment_rule="a posted body reads what --allow-env names; ",
        )
        self._clock = clock
        # One at a time: compiling needs the interpreter all the while, and several at once would only slow down each
        # other and whoever answers the probes.
        self._compiling = threading.Lock()

    def compile(self, payload: bytes, form: BodyFormat, *, is_posted: bool = True) -> Compiled:
        """Return the entries of a body.

        Args:
            payload: the body.
            form: how it is written.
            is_posted: whether it came over the network, so that it may read only a part of the environment.

        Raises:
            CompileError: it does not compile; nothing is logged.
        """
        with self._compiling, _uncollected():
            try:
                return compile_scenario(payload, form, self._context if is_posted else self._catalog_context)
            except CompileError as exc:
                # PERF: the frames that it came through hold all objects of the body, and those behind its causes.
                exc.__cause__ = exc.__context__ = None
                raise exc.with_traceback(None) from None

    def launch(self, compiled: Compiled, origin: str, deadline_ns: int | None, asked: Asked = AS_IT_IS) -> IntakeResult:
        """Launch all entries of a body, or none; every refusal is logged here.

        Args:
            compiled: the body.
            origin: who brings it, for log lines.
            deadline_ns: monotonic instant at which a launch is undone that has not come to its end; None waits.
            asked: how it is to run.

        Raises:
            NameConflict: its name is taken.
            CompileError: 422, a value that cannot be used.
            CapacityError: there are too many scenarios.
            LaunchError: not all workers could be started.
            CallTimeoutError: the deadline has passed.
        """
        plan = msgspec.structs.replace(self._prepare(compiled, origin, asked), origin=origin)
        warnings = self._warnings(plan)
        for warning in warnings:
            logger.warning("%s: sink pre-flight warning", origin, extra=fields(message=warning, origin=origin))
        return IntakeResult(self._start(plan, origin, deadline_ns), warnings, plan.segment)

    def read_change(self, entry: PlannedEntry, payload: bytes, form: BodyFormat) -> Change:
        """Return what a patch makes of a running entry.

        Raises:
            CompileError: it does not compile, or changes what cannot be changed.
        """
        with self._compiling, _uncollected():
            return read_change(entry, payload, form, self._context)

    def examine(self, compiled: Compiled, asked: Asked = AS_IT_IS) -> tuple[Plan, list[str]]:
        """Return what `launch` would start, and the texts for whoever asks; nothing is started or logged.

        Raises:
            CompileError: 422, a value that cannot be used.
        """
        plan = prepare(compiled, self._context, asked)
        warnings = self._warnings(plan)
        conflicting = self._control_plane.conflicts(compiled.scenario_name)
        if compiled.scenario_name is not None and conflicting:
            warnings.append(
                f"scenario_name '{compiled.scenario_name}' is in use by {len(conflicting)} active scenario(s); a "
                "launch is refused with 409 until they are deleted"
            )
        return plan, warnings

    def _warnings(self, plan: Plan) -> list[str]:
        writing: list[EntryPlan] = []
        if any(isinstance(entry.plan.sink, File) for entry in plan.entries):
            writing = [
                scenario.entry.plan
                for scenario in self._control_plane.scenarios()
                if scenario.counters().state != State.FINISHED
            ]
        return preflight_warnings(plan, writing)

    def _prepare(self, compiled: Compiled, origin: str, asked: Asked) -> Plan:
        conflicting = self._control_plane.conflicts(compiled.scenario_name)
        if compiled.scenario_name is not None and conflicting:
            _log_conflict(origin, compiled.scenario_name, conflicting)
            raise NameConflict(compiled.scenario_name, conflicting)
        try:
            return prepare(compiled, self._context, asked)
        except CompileError as exc:
            logger.warning("%s: validation failed", origin, extra=fields(origin=origin, error=exc.detail))
            raise

    def _start(self, plan: Plan, origin: str, deadline_ns: int | None) -> list[Scenario]:
        timeout_secs = None if deadline_ns is None else (deadline_ns - self._clock.monotonic_ns()) / 1e9
        if timeout_secs is not None and timeout_secs <= 0:
            raise CallTimeoutError("compiling the body took the request's whole time")
        try:
            scenarios = self._control_plane.launch(plan, timeout_secs)
        except NameConflict as exc:
            _log_conflict(origin, plan.scenario_name, exc.conflicting)
            raise
        except CapacityError:
            needed = len(plan.entries)
            logger.warning("%s: scenario cap reached", origin, extra=fields(needed=needed, origin=origin))
            raise
        except LaunchError as exc:
            logger.warning("%s: failed to launch scenarios", origin, extra=fields(origin=origin, error=exc))
            raise
        for scenario in scenarios:
            state = State(scenario.counters().state).wire
            shown = {"id": scenario.id, "name": scenario.entry.plan.name, "state": state, "origin": origin}
            logger.info("scenario launched", extra=fields(**shown))
        return scenarios


@contextmanager
def _uncollected() -> Iterator[None]:
    # PERF: a large body becomes a million objects and no cycle. Looking for cycles among them was measured to double
    # the time, and to keep the interpreter from every other thread for half a second at once.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _log_conflict(origin: str, scenario_name: str | None, conflicting: Sequence[Scenario]) -> None:
    logger.warning(
        "%s: rejected duplicate scenario_name",
        origin,
        extra=fields(scenario_name=scenario_name, count=len(conflicting), origin=origin),
    )
