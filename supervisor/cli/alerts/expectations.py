"""What a scenario expects of the alerting side, and what was seen of it. Source: docs/command-line.md, "test"."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from common.errors import DurationError
from common.units import duration_secs
from supervisor.cli.failures import CommandError
from supervisor.compiler.language.blocks import Alert, Expect

AlertState = Literal["firing", "pending", "inactive"]
LabelSet = dict[str, str]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One alert.

    Attributes:
        labels: that it must have, besides its name.
        firing_within: as written, from the start of the scenario.
        resolves_within: as written, from its end; None is not checked.
    """

    alert: str
    labels: LabelSet
    firing_within: str
    resolves_within: str | None

    @property
    def firing_secs(self) -> float:
        """Until when it must fire."""
        return duration_secs(self.firing_within)

    @property
    def resolves_secs(self) -> float:
        """Until when it must be over, after the end."""
        return duration_secs(self.resolves_within or "0s")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at an alert has shown.

    Attributes:
        secs: since the start or the end of the scenario.
        state: None when the look failed.
        error: why it failed.
        firing: the label sets of what fires.
        started_at: when the first of it began to fire, seconds since the epoch on the server's clock.
        suppressed: whether something of it is silenced or inhibited.
    """

    secs: float
    state: AlertState | None
    error: str | None = None
    firing: list[LabelSet] = field(default_factory=list)
    started_at: float | None = None
    suppressed: bool = False


class Source(Protocol):
    """A server that knows alerts.

    Attributes:
        title: as the report names it.
        url: of the server, as typed.
    """

    title: str
    url: str

    def look(self, expectation: Expectation) -> Observation:
        """Look once; the time of the observation is left to the caller.

        Raises:
            QueryError: it did not work.
        """
        ...

    def measure_clock(self) -> float:
        """Return how far the server's clock is ahead, in seconds.

        Raises:
            QueryError: it cannot be measured.
        """
        ...

    def firing_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return the observations that decide whether it fired, as exactly as this source can.

        Args:
            expectation: what is looked for.
            live: what polling has seen, times since `anchor`.
            anchor: seconds since the epoch on this machine's clock.
            warnings: takes what users should know.
        """
        ...

    def resolution_timeline(
        self, expectation: Expectation, live: list[Observation], anchor: float, warnings: list[str]
    ) -> list[Observation]:
        """Return the observations that decide whether it was over; arguments as `firing_timeline`."""
        ...


def expectations_of(expect: Expect | None, reference: str) -> list[Expectation]:
    """Return what a scenario expects.

    Raises:
        CommandError: nothing, or something that cannot be checked.
    """
    if expect is None:
        raise CommandError(
            f"scenario {reference} has no `expect:` block; `test` needs one that lists the alerts to be verified"
        )
    if not expect.alerts:
        raise CommandError("expect.alerts must list at least one alert")
    return [_expectation(alert) for alert in expect.alerts]


def _expectation(alert: Alert) -> Expectation:
    if not alert.alert:
        raise CommandError("expect.alerts[].alert must not be empty")
    for field_name, text in (("firing_within", alert.firing_within), ("resolves_within", alert.resolves_within)):
        if text is not None:
            try:
                duration_secs(text)
            except DurationError as exc:
                raise CommandError(f"invalid expect block: {alert.alert}: {field_name}: {exc}") from exc
    return Expectation(alert.alert, alert.labels or {}, alert.firing_within, alert.resolves_within)
