"""The order of a run over hosts: read, connect, let all hosts agree, start, show, sum up.

Source: docs/more-than-one-machine.md, "Running".
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata

from common.segments import Segment
from supervisor.cli.failures import OK
from supervisor.cli.fleet.local import LocalFleet
from supervisor.cli.fleet.session import FleetSession, host_rows, refusal
from supervisor.cli.grammar import Globals
from supervisor.cli.logs import CommandLogs
from supervisor.cli.running.expected import Expected
from supervisor.cli.running.run import check_layout, conclude, watch_run
from supervisor.cli.running.source import ReadyScenario, load
from supervisor.cli.screen import Screen
from supervisor.compiler import Asked
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.fleet.agreement import OnLost, RefusedRunError, Wishes, agree
from supervisor.fleet.cluster import Cluster
from supervisor.fleet.course import Course
from supervisor.fleet.members import Portion
from supervisor.fleet.place import SchedulerPlace, place_of


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """What was typed."""

    scheduler_file: str | None = None
    scheduler: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    local: int | None = None
    hosts: int | None = None
    start_in: float | None = None
    digest: bool = False
    on_lost: str | None = None
    lost_after: float | None = None
    expected: Sequence[Expected] = ()
    report: str | None = None


def run_fleet(chosen: Globals, reference: str, request: FleetRequest) -> int:
    """Run a scenario over hosts; returns the exit code.

    Raises:
        CommandError: it was not started, an entry failed, a host was lost, or a figure is not as expected.
        FleetError: there is no scheduler.
    """
    check_layout(chosen)
    screen = Screen()
    with CommandLogs(quiet=chosen.quiet), ExitStack() as held:
        # The whole, as one that can be dealt out: it has the fingerprint that every host must come to.
        scenario = load(reference, chosen.catalog, asked=Asked(Segment(1, 1), digest=request.digest))
        place, wanted = _place(request, held)
        say = (lambda _line: None) if chosen.quiet else lambda line: screen.line(f"[fleet] {line}")
        with Cluster(place) as cluster:
            wishes = _wishes(scenario, request, wanted)
            try:
                agreement = agree(cluster, wishes)
            except RefusedRunError as exc:
                raise refusal(exc) from exc
            if not chosen.quiet or chosen.dry_run:
                for line in host_lines(agreement.parts):
                    screen.line(line)
            if chosen.dry_run:
                return OK
            course = Course(cluster, wishes, agreement.parts, say)
            outcome = watch_run(scenario, chosen, screen, FleetSession(course, agreement.took_secs))
    hosts = host_rows(course.parts)
    return conclude(scenario, chosen, screen, outcome, request.expected, request.report, hosts)


def host_lines(parts: Sequence[Portion]) -> Iterator[str]:
    """Yield a line for each host that has agreed to its part."""
    for part in parts:
        least, most = part.member.clock_ns
        clock = (least + most) / 2e6
        yield (
            f"[fleet] {part.name}  {part.member.name} | series: {part.share.series} | rate: {part.share.rate:g}/s | "
            f"clock: {clock:+.1f} ms ± {(most - least) / 2e6:.1f} ms"
        )


def _place(request: FleetRequest, held: ExitStack) -> tuple[SchedulerPlace, int | None]:
    if request.local is not None:
        return held.enter_context(LocalFleet(request.local)).place, request.local
    named = (request.scheduler_file, request.scheduler, request.tls_ca, request.tls_cert, request.tls_key)
    return place_of(*named), request.hosts


def _wishes(scenario: ReadyScenario, request: FleetRequest, hosts: int | None) -> Wishes:
    # Hosts have another environment; what a reference stands for here is what it stands for there.
    body = Interpolation(os.environ).text(scenario.text).replace("$", "$$")
    return Wishes(
        body=body,
        query={"digest": "true"} if request.digest else {},
        fingerprint="" if scenario.plan.segment is None else scenario.plan.segment.fingerprint,
        version=metadata.version("sondad"),
        hosts=hosts,
        start_in_secs=request.start_in,
        on_lost=OnLost(request.on_lost or "hole"),
        lost_secs=15.0 if request.lost_after is None else request.lost_after,
    )
