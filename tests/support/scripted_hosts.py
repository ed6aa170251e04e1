"""Hosts of a fleet without processes: each answers at once, as its daemon would, or is silent."""

from dataclasses import dataclass, field
from typing import Any

from supervisor.fleet.agreement import Wishes
from supervisor.fleet.asking import Answer

Facts = dict[str, Any]
SECOND_NS = 1_000_000_000
VERSION = "1.2.3"
FIGURES: Facts = {
    "total_events": 0,
    "bytes_emitted": 0,
    "errors": 0,
    "total_sink_failures": 0,
    "current_rate": 0.0,
    "uptime_secs": 0.0,
    "current_state_secs": 0.0,
    "in_gap": False,
    "in_burst": False,
    "last_sink_error": None,
    "exit_reason": None,
    "lateness_buckets": [],
    "digest": None,
    "state": "running",
}


@dataclass
class ScriptedHost:
    """A host with a daemon.

    Attributes:
        name: of the host, and of its daemon's place.
        worker: the Dask worker that leads to it; None when there is none.
        has_daemon: whether the daemon answers.
        introduction: what differs from what it usually says of itself.
        rehearsal: what differs from what it usually agrees to.
        refusal: why it does not take a segment.
        scenarios: figures by id.
        asked: what came, in order.
        waits: how often an answer to `end` is looked for before it has come.
    """

    name: str
    worker: str | None
    has_daemon: bool = True
    introduction: Facts = field(default_factory=dict)
    rehearsal: Facts = field(default_factory=dict)
    refusal: str | None = None
    scenarios: dict[str, Facts] = field(default_factory=dict)
    asked: list[tuple[str, Facts]] = field(default_factory=list)
    waits: int = 0

    def act(self, action: str, request: Facts) -> Facts | str:
        """Return a result, or why there is none."""
        self.asked.append((action, request))
        match action:
            case "introduce":
                said = {"place": self.name, "host": self.name, "url": "http://127.0.0.1:8080", "clock_ns": 0}
                return said | {"installed": VERSION, "version": VERSION, "commit": "c0"} | self.introduction
            case "rehearse":
                index, count = map(int, request["query"]["segment"].split("/"))
                share = {"index": index, "count": count, "version": 1, "series": 3, "total_series": 3 * count}
                share |= {"rate": 10.0, "total_rate": 10.0 * count, "fingerprint": "f0"}
                usual = {"segment": share, "took_secs": 0.5}
                if "fault" in self.rehearsal:
                    return str(self.rehearsal["fault"])
                changed = {"segment": share | self.rehearsal.get("segment", {})}
                return usual | self.rehearsal | changed
            case "begin":
                if self.refusal is not None:
                    return self.refusal
                scenario_id = f"{self.name}-{len(self.asked)}"
                self.scenarios[scenario_id] = dict(FIGURES)
                return {"scenarios": [{"id": scenario_id, "place": 0}]}
            case "look":
                return {"scenarios": [self.scenarios.get(one) for one in request["ids"]]}
            case _:
                return {"scenarios": [self.scenarios.pop(one, None) for one in request["ids"]]}

    def queries(self, action: str) -> list[Facts]:
        """The parameters that came with an action."""
        return [request["query"] for asked, request in self.asked if asked == action]

    def actions(self) -> list[str]:
        """What was asked, in order."""
        return [action for action, _ in self.asked]


class ScriptedHosts:
    """The way to them.

    Args:
        hosts: all of them.
    """

    def __init__(self, *hosts: ScriptedHost) -> None:
        self.hosts = hosts

    def workers(self) -> frozenset[str]:
        return frozenset(host.worker for host in self.hosts if host.worker is not None)

    def ask(self, worker: str, action: str, request: Facts, timeout_secs: float) -> "Answered":
        host = next((host for host in self.hosts if host.worker == worker), None)
        if host is None:
            return Answered(Answer(None, f"its Dask worker {worker} is gone", True, 0, 0))
        if not host.has_daemon:
            return Answered(Answer(None, f"{host.name}: no daemon", True, 0, 0))
        told = host.act(action, request)
        if isinstance(told, str):
            return Answered(Answer(None, f"{host.name}: {told}", False, 0, 0))
        return Answered(Answer(told, "", False, 0, SECOND_NS), host.waits if action == "end" else 0)


class Answered:
    """A question whose answer is there already, or once it was looked for so often."""

    def __init__(self, answer: Answer, waits: int = 0) -> None:
        self._answer = answer
        self._waits = waits

    def answer(self) -> Answer | None:
        self._waits -= 1
        return self._answer if self._waits < 0 else None


def wishes(**changed: Any) -> Wishes:
    """How a run is to be, unless something else is said."""
    usual: Facts = {"body": "version: 2", "query": {}, "fingerprint": "f0", "version": VERSION}
    return Wishes(**{**usual, "start_in_secs": 60.0, **changed})
