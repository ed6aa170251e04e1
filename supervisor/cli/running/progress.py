"""How a run goes on, while it does: lines in a log, redrawn in place on a terminal.

Source: docs/command-line.md, "Progress".
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from common.counters import Counters
from common.states import State
from supervisor.cli.running.session import Watched
from supervisor.cli.running.words import bytes_text, elapsed_text
from supervisor.cli.screen import Screen

if TYPE_CHECKING:
    from rich.text import Text

_PERIOD_SECS: Final = 5.0
_ON_TARGET: Final = (0.8, 1.2)


class Silent:
    """Shows nothing."""

    def look(self, scenarios: Sequence[Watched], elapsed_secs: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class LineProgress:
    """Writes a line now and then, and at every change.

    Args:
        screen: takes the lines.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._said_secs = 0.0
        self._paused: set[int] = set()
        self._stopped: set[int] = set()

    def look(self, scenarios: Sequence[Watched], elapsed_secs: float) -> None:
        """Write what is to be said of each entry."""
        due = elapsed_secs - self._said_secs >= _PERIOD_SECS
        if due:
            self._said_secs = elapsed_secs
        for index, scenario in enumerate(scenarios):
            text = self._text(index, scenario, elapsed_secs, due=due)
            if text is not None:
                self._screen.line(f"[progress] {scenario.entry.plan.name}  {text}")

    def close(self) -> None:
        """Leave what was written."""

    def _text(self, index: int, scenario: Watched, elapsed_secs: float, *, due: bool) -> str | None:
        counters = scenario.counters()
        if counters.state == State.FINISHED:
            if index in self._stopped:
                return None
            self._stopped.add(index)
            return stopped_text(counters, _own_elapsed(scenario, counters))
        if counters.state == State.PAUSED:
            if index in self._paused:
                return None
            self._paused.add(index)
            return f"PAUSED  events: {counters.total_events} | rate: 0.0/s | elapsed: {elapsed_text(elapsed_secs)}"
        self._paused.discard(index)
        if not due:
            return None
        return (
            f"events: {counters.total_events} | rate: {counters.current_rate:.1f}/s | "
            f"bytes: {bytes_text(counters.bytes_emitted)} | elapsed: {elapsed_text(elapsed_secs)}"
            f"{window_tags(scenario, counters)}"
        )


class LiveProgress:
    """Redraws one line for each entry that runs; leaves a line for each that has ended.

    Args:
        screen: says whether there are colours.
        standing: returns lines about where they run, which stand above.
    """

    def __init__(self, screen: Screen, standing: Callable[[], Sequence[str]]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, no_color=not screen.colours, highlight=False, soft_wrap=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
        self._live.start()
        self._standing = standing
        self._stopped: set[int] = set()

    def look(self, scenarios: Sequence[Watched], elapsed_secs: float) -> None:
        """Draw."""
        from rich.console import Group
        from rich.text import Text

        lines = [Text(f"  {line}", no_wrap=True, overflow="ellipsis") for line in self._standing()]
        for index, scenario in enumerate(scenarios):
            counters = scenario.counters()
            name = scenario.entry.plan.name
            if counters.state == State.FINISHED:
                if index not in self._stopped:
                    self._stopped.add(index)
                    text = f"  STOPPED {name}  {_figures(counters)} | elapsed: {_own(scenario, counters)}"
                    self._console.print(Text(text), no_wrap=True, overflow="ellipsis")
                continue
            lines.append(_live_line(scenario, counters, elapsed_secs))
        height = max(self._console.height - 1, 1)
        self._live.update(Group(*lines[:height]), refresh=True)

    def close(self) -> None:
        """Take the redrawn lines away."""
        self._live.stop()


def stopped_text(counters: Counters, elapsed_secs: float) -> str:
    """Return what is left to say of an entry whose worker is gone."""
    why = f" (sink: {counters.last_sink_error})" if counters.last_sink_error else ""
    return (
        f"STOPPED{why} | events: {counters.total_events} | bytes: {bytes_text(counters.bytes_emitted)} | "
        f"elapsed: {elapsed_text(elapsed_secs)}"
    )


def window_tags(scenario: Watched, counters: Counters) -> str:
    """Return the windows that an entry is in."""
    tags = " [gap]" if counters.in_gap else ""
    tags += " [burst]" if counters.in_burst else ""
    return tags + (" [spike]" if _in_spike(scenario) else "")


def _in_spike(scenario: Watched) -> bool:
    plan = scenario.entry.plan
    at_ns = time.monotonic_ns() - scenario.launched_ns - plan.phase_offset_ns
    return any(
        0 <= at_ns % spike.cycle.every_ns < spike.cycle.for_ns for spike in plan.cardinality_spikes if at_ns >= 0
    )


def _live_line(scenario: Watched, counters: Counters, elapsed_secs: float) -> "Text":
    from rich.text import Text

    name, target = scenario.entry.plan.name, scenario.entry.plan.own_rate
    line = Text(no_wrap=True, overflow="ellipsis")
    if counters.state == State.PAUSED:
        line.append(f"  PAUSED {name}  {_figures(counters)} | elapsed: {elapsed_text(elapsed_secs)}", style="yellow")
        return line
    low, high = _ON_TARGET
    style = "green" if low <= counters.current_rate / target <= high else "yellow"
    line.append(f"  ~ {name}  events: {counters.total_events:,} | rate: ")
    line.append(f"{counters.current_rate:.1f}/s", style=style)
    line.append(
        f" | bytes: {bytes_text(counters.bytes_emitted)} | elapsed: {elapsed_text(elapsed_secs)}"
        f"{window_tags(scenario, counters)}"
    )
    return line


def _figures(counters: Counters) -> str:
    return f"events: {counters.total_events:,} | bytes: {bytes_text(counters.bytes_emitted)}"


def _own(scenario: Watched, counters: Counters) -> str:
    return elapsed_text(_own_elapsed(scenario, counters))


def _own_elapsed(scenario: Watched, counters: Counters) -> float:
    return max(counters.state_since_ns - scenario.launched_ns, 0) / 1e9
