"""The lines before and behind a run. Source: docs/command-line.md, "Texts"."""

from collections.abc import Iterator, Sequence

from common.plan import PlannedEntry
from supervisor.cli.running.session import Ended, RunOutcome
from supervisor.cli.running.source import ReadyScenario
from supervisor.cli.running.words import banner_rate, bytes_text, encoder_text, group_text, sink_text


def start_lines(scenario: ReadyScenario) -> Iterator[str]:
    """Yield a line for each entry that is about to run."""
    entries, segment = scenario.plan.entries, scenario.plan.segment
    if segment is not None:
        yield (
            f"segment {segment.index}/{segment.count}: {segment.series} of {segment.total_series} series, "
            f"{banner_rate(segment.rate)} of {banner_rate(segment.total_rate)}/s"
        )
    for number, planned in enumerate(entries, 1):
        plan = planned.plan
        parts = [
            f"signal_type: {plan.signal_type}",
            f"rate: {banner_rate(plan.own_rate)}/s",
            f"encoder: {encoder_text(plan.encoder)}",
            f"sink: {sink_text(plan.sink)}",
        ]
        duration = scenario.compiled.entries[planned.index].duration
        if duration is not None:
            parts.append(f"duration: {duration}")
        if planned.clock_group is not None:
            parts.append(f"clock_group: {group_text(planned.clock_group, auto=planned.clock_group_auto)}")
        yield f"{_place(number, len(entries))}▶ {plan.name}  {' | '.join(parts)}"


def stop_lines(scenario: ReadyScenario, outcome: RunOutcome) -> Iterator[str]:
    """Yield a line for each entry that has ended, and the sums of several."""
    entries = scenario.plan.entries
    for number, (planned, ended) in enumerate(zip(entries, outcome.entries, strict=True), 1):
        counters = ended.counters
        yield (
            f"{_place(number, len(entries))}■ {planned.plan.name}  completed in {ended.elapsed_secs:.1f}s | "
            f"events: {counters.total_events} | bytes: {bytes_text(counters.bytes_emitted)} | "
            f"errors: {counters.errors}"
        )
    if len(entries) > 1:
        yield from _groups(entries, outcome.entries)
        yield (
            f"━━ run complete  scenarios: {len(entries)} | {_sums(outcome.entries)} | "
            f"elapsed: {outcome.elapsed_secs:.1f}s"
        )


def _groups(entries: Sequence[PlannedEntry], ended: Sequence[Ended]) -> Iterator[str]:
    groups: dict[str | None, list[Ended]] = {}
    for planned, end in zip(entries, ended, strict=True):
        groups.setdefault(planned.clock_group, []).append(end)
    if len(groups) > 1:
        yield "━━ run complete (by clock_group)"
        for name, members in groups.items():
            yield f"  {name or '(ungrouped)'}  scenarios: {len(members)} | {_sums(members)}"


def _sums(ended: Sequence[Ended]) -> str:
    events = sum(end.counters.total_events for end in ended)
    size = sum(end.counters.bytes_emitted for end in ended)
    errors = sum(end.counters.errors for end in ended)
    return f"events: {events} | bytes: {bytes_text(size)} | errors: {errors}"


def _place(number: int, total: int) -> str:
    return f"[{number}/{total}] " if total > 1 else ""
