"""`fleet status` and `fleet stop`: the daemons of all hosts at once.

Source: docs/more-than-one-machine.md, "Status and stop".
"""

from typing import Final

import msgspec

from supervisor.cli.daemon.tables import print_json, print_table, rate_now
from supervisor.cli.failures import FAILED, OK, CommandError
from supervisor.cli.screen import Screen
from supervisor.fleet.asking import ask_all
from supervisor.fleet.cluster import Cluster
from supervisor.fleet.members import Facts, Introduced
from supervisor.fleet.place import SchedulerPlace

_STATUS: Final = ("HOST", "DAEMON", "SEGMENT", "ID", "NAME", "STATE", "EVENTS", "RATE", "ERRORS")
_STOPPED: Final = ("HOST", "DAEMON", "ID", "NAME", "STATE", "EVENTS")


def print_status(place: SchedulerPlace, *, as_json: bool) -> int:
    """List hosts and scenarios; returns 1 when a host cannot be asked."""
    with Cluster(place) as cluster:
        hosts = _surveyed(cluster)
    if as_json:
        print_json(hosts)
    else:
        print_table(_STATUS, [row for host in hosts for row in _status_rows(host)])
        _tell_faults(hosts)
    return FAILED if any(host["fault"] for host in hosts) else OK


def stop(place: SchedulerPlace, name_or_id: str | None, *, as_json: bool) -> int:
    """Stop and remove scenarios on all hosts; returns 1 when a host cannot be asked.

    Args:
        place: the scheduler.
        name_or_id: of the scenarios; None stops all.
        as_json: whether to print JSON.

    Raises:
        CommandError: no host has such a scenario.
    """
    with Cluster(place) as cluster:
        hosts = _surveyed(cluster)
        chosen = {
            host["worker"]: [one for one in host["scenarios"] if name_or_id in (None, one["id"], one["name"])]
            for host in hosts
        }
        if name_or_id is not None and not any(chosen.values()):
            names = ", ".join(sorted({one["name"] for host in hosts for one in host["scenarios"]})) or "<none>"
            raise CommandError(f"no scenario '{name_or_id}' on any host; there are: {names}")
        answers = ask_all(
            cluster,
            {worker: ("end", {"ids": [one["id"] for one in ones]}) for worker, ones in chosen.items() if ones},
        )
    for host in hosts:
        answer = answers.get(host["worker"])
        host["scenarios"] = []
        if answer is not None and answer.done is not None:
            named = zip(chosen[host["worker"]], answer.done["scenarios"], strict=True)
            host["scenarios"] = [before | (after or {}) | {"state": "stopped"} for before, after in named]
        elif answer is not None:
            host["fault"] = answer.fault
    if as_json:
        print_json(hosts)
    else:
        rows = [
            (host["host"], host["url"], one["id"], one["name"], one["state"], str(one["total_events"]))
            for host in hosts
            for one in host["scenarios"]
        ]
        print_table(_STOPPED, rows)
        _tell_faults(hosts)
    return FAILED if any(host["fault"] for host in hosts) else OK


def _surveyed(cluster: Cluster) -> list[Facts]:
    """Return every daemon once, with its scenarios, in the order of host names; and what is wrong with others."""
    workers = sorted(cluster.workers())
    introductions = ask_all(cluster, {worker: ("introduce", {}) for worker in workers})
    hosts: dict[str, Facts] = {}
    for worker, answer in introductions.items():
        shown: Facts = {
            "worker": worker,
            "host": worker,
            "url": "-",
            "fault": answer.fault or None,
            "scenarios": [],
        }
        place = worker
        if answer.done is not None:
            said = msgspec.convert(answer.done, Introduced)
            place = said.place
            shown |= {"host": said.host, "url": said.url, "version": said.version}
        hosts.setdefault(place, shown)
    surveys = ask_all(cluster, {host["worker"]: ("survey", {}) for host in hosts.values() if host["fault"] is None})
    for host in hosts.values():
        survey = surveys.get(host["worker"])
        if survey is not None and survey.done is not None:
            host["scenarios"] = survey.done["scenarios"]
        elif survey is not None:
            host["fault"] = survey.fault
    return sorted(hosts.values(), key=lambda host: (host["host"], host["url"]))


def _status_rows(host: Facts) -> list[tuple[str, ...]]:
    first = (host["host"], host["url"])
    if not host["scenarios"]:
        return [(*first, "-", "-", "-", "silent" if host["fault"] else "idle", "", "", "")]
    return [
        (
            *first,
            one["segment"] or "-",
            one["id"],
            one["name"],
            one["state"],
            str(one["total_events"]),
            f"{rate_now(one):.1f}/s",
            str(one["errors"]),
        )
        for one in host["scenarios"]
    ]


def _tell_faults(hosts: list[Facts]) -> None:
    screen = Screen()
    for host in hosts:
        if host["fault"]:
            screen.line(f"warning: {host['fault']}")
