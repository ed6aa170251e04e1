"""The order of a test. Source: docs/command-line.md, "test"."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from common.errors import DurationError
from common.units import duration_secs
from common.urls import shown_url
from supervisor.cli.alerts.alertmanager import Alertmanager
from supervisor.cli.alerts.expectations import Expectation, LabelSet, Observation, Source, expectations_of
from supervisor.cli.alerts.polling import Polled, Poller
from supervisor.cli.alerts.prometheus import Prometheus
from supervisor.cli.alerts.report import Judged, verdict_time
from supervisor.cli.alerts.verdicts import evaluate, is_firing, is_resolved
from supervisor.cli.failures import ABANDONED, OK, CommandError
from supervisor.cli.grammar import Globals
from supervisor.cli.logs import CommandLogs
from supervisor.cli.queries import QueryError
from supervisor.cli.reports import CommandReport, Requirement, write_report
from supervisor.cli.running.run import check_layout, entry_rows, print_dry_run, watch_run
from supervisor.cli.running.session import RunOutcome, Session
from supervisor.cli.running.source import ReadyScenario, load
from supervisor.cli.screen import Screen

PROMETHEUS_VARIABLE: Final = "SONDA_PROMETHEUS_URL"
ALERTMANAGER_VARIABLE: Final = "SONDA_ALERTMANAGER_URL"
_PREFLIGHT_ATTEMPTS: Final = 3
_PREFLIGHT_PAUSE_SECS: Final = 2.0
_SETTLING_SECS: Final = 5.0


@dataclass(frozen=True, slots=True)
class AlertTestRequest:
    """What was typed; addresses also come from the environment."""

    reference: str
    prometheus_url: str | None
    alertmanager_url: str | None
    interval: str
    query_timeout: str
    query_step: str
    report: str | None = None


def test_scenario(chosen: Globals, request: AlertTestRequest) -> int:
    """Run a scenario and judge the alerts that it expects; returns the exit code.

    Raises:
        CommandError: a check failed, or there could be no verdict.
    """
    check_layout(chosen)
    with CommandLogs(quiet=chosen.quiet):
        scenario = load(request.reference, chosen.catalog, is_dry=chosen.dry_run)
        expectations = expectations_of(scenario.expect, request.reference)
        interval = _duration("--interval", request.interval)
        timeout = _duration("--query-timeout", request.query_timeout)
        step = _duration("--query-step", request.query_step)
        screen = Screen()
        if chosen.dry_run:
            print_dry_run(scenario, chosen.layout)
            screen.line(f"  expect: {len(expectations)} alert expectation(s) parsed OK")
            return OK
        source = _source(request, timeout, step)
        with Session() as session, _interruptible():
            test = _Test(scenario, expectations, source, interval, step, screen, session)
            return _reported(test, chosen, request)


def _reported(test: "_Test", chosen: Globals, request: AlertTestRequest) -> int:
    """Run a test, and write what it found whatever that is."""
    error: str | None = None
    try:
        return test.run(chosen)
    except CommandError as exc:
        error = None if test.checks else str(exc)
        raise
    finally:
        if request.report is not None:
            found = CommandReport("test", request.reference, test.ran_secs, test.entries, test.checks, error)
            write_report(request.report, found)


class _Test:
    """One test.

    Attributes:
        checks: what was judged.
        entries: what the scenario did.
        ran_secs: how long it ran.
    """

    def __init__(
        self,
        scenario: ReadyScenario,
        expectations: list[Expectation],
        source: Source,
        interval_secs: float,
        step_secs: float,
        screen: Screen,
        session: Session,
    ) -> None:
        self._scenario = scenario
        self._expectations = expectations
        self._source = source
        self._interval_secs = interval_secs
        self._step_secs = step_secs
        self._screen = screen
        self._session = session
        self._warnings: list[str] = []
        self.checks: list[Requirement] = []
        self.entries: list[dict[str, Any]] = []
        self.ran_secs = 0.0

    def run(self, chosen: Globals) -> int:
        # Times count from the launch, which is not to wait for what is still being started.
        self._session.wait_until_warm()
        self._preflight()
        self._measure_clock()
        polled = [Polled(one, one.firing_secs) for one in self._expectations]
        started, started_mono = time.time(), time.monotonic()
        poller = Poller(self._source, polled, started_mono, self._interval_secs, lambda seen: seen.state == "firing")
        poller.start()
        try:
            outcome = watch_run(self._scenario, chosen, self._screen, self._session)
            ended, ended_mono = time.time(), time.monotonic()
            self.entries, self.ran_secs = entry_rows(outcome), outcome.elapsed_secs
            _reinstall()
            code = self._ended_early(outcome)
            if code is not None:
                return code
            poller.wait()
        finally:
            poller.cancel()
        if isinstance(self._source, Prometheus):
            time.sleep(min(self._step_secs, _SETTLING_SECS))
        timelines = [self._source.firing_timeline(one.expectation, one.seen, started, self._warnings) for one in polled]
        judged = self._resolutions(timelines, ended, ended_mono)
        for one, timeline in zip(polled, timelines, strict=True):
            self._warn_of_foreign_labels(one, timeline)
        return self._report(judged, ended_mono - started_mono)

    def _preflight(self) -> None:
        for index, expectation in enumerate(self._expectations):
            attempts = 1 if index else _PREFLIGHT_ATTEMPTS
            for attempt in range(attempts):
                try:
                    self._source.look(expectation)
                    break
                except QueryError as exc:
                    if attempt + 1 == attempts:
                        name = self._source.title.lower()
                        raise CommandError(
                            f"{name} preflight against {shown_url(self._source.url, '<redacted>')} failed: {exc}"
                        ) from exc
                    time.sleep(_PREFLIGHT_PAUSE_SECS)

    def _measure_clock(self) -> None:
        try:
            self._source.measure_clock()
        except QueryError as exc:
            whose = "the server" if isinstance(self._source, Prometheus) else "the Alertmanager"
            self._warnings.append(f"could not measure {whose} clock, assuming that it agrees with ours: {exc}")

    def _ended_early(self, outcome: RunOutcome) -> int | None:
        if outcome.abandoned:
            return ABANDONED
        if outcome.interrupted:
            raise CommandError(_INTERRUPTED)
        if outcome.unread:
            return OK
        if outcome.failures:
            raise CommandError("; ".join(outcome.failures))
        return None

    def _resolutions(self, timelines: list[list[Observation]], ended: float, ended_mono: float) -> list[Judged]:
        firing = [
            evaluate(timeline, one.firing_secs, is_firing)
            for one, timeline in zip(self._expectations, timelines, strict=True)
        ]
        polled = [
            Polled(one, one.resolves_secs)
            for one, verdict in zip(self._expectations, firing, strict=True)
            if one.resolves_within is not None and verdict.kind in ("pass", "late")
        ]
        Poller(
            self._source,
            polled,
            ended_mono,
            self._interval_secs,
            lambda seen: seen.state not in (None, "firing"),
        ).poll()
        resolved = {
            id(one.expectation): evaluate(
                self._source.resolution_timeline(one.expectation, one.seen, ended, self._warnings),
                one.deadline_secs,
                is_resolved,
            )
            for one in polled
        }
        return [
            Judged(one, verdict, resolved.get(id(one))) for one, verdict in zip(self._expectations, firing, strict=True)
        ]

    def _warn_of_foreign_labels(self, polled: Polled, timeline: list[Observation]) -> None:
        emitted: dict[str, set[str]] = {}
        for entry in self._scenario.plan.entries:
            for key, value in entry.plan.labels.items():
                emitted.setdefault(key, set()).add(value)
        matched = [labels for seen in timeline for labels in seen.firing]
        matched = matched or [labels for seen in polled.seen for labels in seen.firing]
        for key, value in _foreign(matched, emitted):
            what = "an ALERTS series" if isinstance(self._source, Prometheus) else "an Alertmanager alert"
            self._warnings.append(
                f'{polled.expectation.alert} matched {what} with {key}="{value}", which no entry of this scenario '
                "emits; scope `expect.labels` to what it does"
            )

    def _report(self, judged: list[Judged], ran_secs: float) -> int:
        for warning in self._warnings:
            self._screen.line(f"  WARN {warning}", "yellow")
        self._screen.line()
        for one in judged:
            for what, line, is_good in one.lines():
                self.checks.append(Requirement(what, is_good, line.strip()))
                self._screen.line(line, "green" if is_good else "red")
        self._screen.line()
        title = self._source.title
        if isinstance(self._source, Alertmanager):
            self._screen.line(
                f"  {title} keeps no queryable history: verdicts rest on live polling every "
                f"{verdict_time(self._interval_secs)}"
            )
        failed = sum(verdict.kind != "pass" for one in judged for verdict in one.verdicts)
        if failed:
            raise CommandError(f"{failed} alert expectation(s) failed (verified via {title})")
        self._screen.line(
            f"  PASS {len(judged)} alert expectation(s) verified via {title} (scenario ran {verdict_time(ran_secs)})",
            "green",
        )
        return OK


def _foreign(matched: list[LabelSet], emitted: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the labels that the scenario sets, with values that it does not; each once."""
    pairs = [(key, value) for labels in matched for key, value in sorted(labels.items())]
    return list(dict.fromkeys((key, value) for key, value in pairs if key in emitted and value not in emitted[key]))


def _source(request: AlertTestRequest, timeout_secs: float, step_secs: float) -> Source:
    if request.prometheus_url and request.alertmanager_url:
        raise CommandError(
            f"--prometheus-url ({PROMETHEUS_VARIABLE}) and --alertmanager-url ({ALERTMANAGER_VARIABLE}) are mutually "
            "exclusive; give one"
        )
    if request.prometheus_url:
        return Prometheus(request.prometheus_url, timeout_secs, step_secs)
    if request.alertmanager_url:
        return Alertmanager(request.alertmanager_url, timeout_secs)
    raise CommandError("test needs a server to ask: pass --prometheus-url or --alertmanager-url")


def _duration(flag: str, text: str) -> float:
    try:
        return duration_secs(text)
    except DurationError as exc:
        raise CommandError(f"invalid {flag}: {exc}") from exc


_INTERRUPTED: Final = "interrupted by a signal before there was a verdict"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise CommandError(_INTERRUPTED)


def _reinstall() -> None:
    # The run had the signals for itself.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a signal end a wait with the error of a test that has no verdict."""
    _reinstall()
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
