"""Verdicts in words. Source: docs/command-line.md, "Verdicts"."""

from dataclasses import dataclass

from supervisor.cli.alerts.expectations import Expectation
from supervisor.cli.alerts.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """An expectation and its verdicts; the resolution's is None where it is not checked."""

    expectation: Expectation
    firing: Verdict
    resolution: Verdict | None

    @property
    def verdicts(self) -> list[Verdict]:
        """Those that were given."""
        return [verdict for verdict in (self.firing, self.resolution) if verdict is not None]

    def lines(self) -> list[tuple[str, str, bool]]:
        """Return what was checked, a line about it, and whether it is a good one, for each verdict."""
        name = self.expectation.alert
        lines = [(f"{name} fires", f"  {firing_text(self.expectation, self.firing)}", self.firing.kind == "pass")]
        if self.resolution is not None:
            text = f"  {resolution_text(self.expectation, self.resolution)}"
            lines.append((f"{name} resolves", text, self.resolution.kind == "pass"))
        return lines


def firing_text(expectation: Expectation, verdict: Verdict) -> str:
    """Return what became of the firing."""
    name, within = expectation.alert, expectation.firing_within
    match verdict.kind:
        case "pass":
            return f"PASS {name} firing after {verdict_time(verdict.secs)} (within {within})"
        case "late":
            return f"FAIL {name} fired after {verdict_time(verdict.secs)} — later than firing_within {within}"
        case "missed":
            return f"FAIL {name} did not fire within {within}{_error(verdict)}"
    return (
        f"FAIL {name}: no verdict — {_why('firing', verdict)}, so firing within {within} is unproven{_error(verdict)}"
    )


def resolution_text(expectation: Expectation, verdict: Verdict) -> str:
    """Return what became of the resolution."""
    name, within = expectation.alert, expectation.resolves_within
    match verdict.kind:
        case "pass":
            return f"PASS {name} resolved after {verdict_time(verdict.secs)} (within {within} of scenario end)"
        case "late":
            return f"FAIL {name} resolved after {verdict_time(verdict.secs)} — later than resolves_within {within}"
        case "missed":
            return f"FAIL {name} still firing {within} after scenario end{_error(verdict)}"
    why = _why("resolution", verdict)
    return f"FAIL {name}: no resolution verdict — {why}, so resolving within {within} is unproven{_error(verdict)}"


def verdict_time(secs: float | None) -> str:
    """Return a time as verdicts show it: whole seconds, or whole milliseconds below one."""
    secs = secs or 0.0
    if secs >= 1:
        return f"{round(secs)}s"
    return f"{round(secs * 1000)}ms" if secs >= 0.001 else "0s"


def _why(what: str, verdict: Verdict) -> str:
    if verdict.secs is None:
        return "polling ended before the deadline"
    return f"{what} was first observed at {verdict_time(verdict.secs)} with no successful query inside the window"


def _error(verdict: Verdict) -> str:
    return "" if verdict.last_error is None else f" (last query error: {verdict.last_error})"
