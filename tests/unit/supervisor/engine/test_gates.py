"""Who is wired to whom, against a model that looks everything up again."""

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.plan import GatePlan
from supervisor.engine.gates import Gates, Wire
from supervisor.engine.scenarios import LaunchedScenario
from tests.unit.supervisor.engine.entries import planned_entry

IDS = ("a", "b", "c")
BODIES = ("x", "y")


def gate(ref: str, body: str | None = None) -> GatePlan:
    return GatePlan(scenario_name=body, ref=ref, op=">", value=0.0)


def scenario(entry_id: str | None, body: str | None, clause: GatePlan | None = None) -> LaunchedScenario:
    return LaunchedScenario(
        f"{body}.{entry_id}", planned_entry(str(entry_id), id=entry_id, gate=clause), body, now_ns=0
    )


def ends(wires: list[Wire]) -> list[tuple[LaunchedScenario, LaunchedScenario]]:
    return [(wire.upstream, wire.downstream) for wire in wires]


def test_a_chain_within_a_body() -> None:
    """Every gate is wired when the body is added; nothing ever waits."""
    gates = Gates()
    a, b, c = scenario("a", None), scenario("b", None, gate("a")), scenario("c", None, gate("b"))
    assert ends(gates.add([c, b, a], 5)) == [(b, c), (a, b)]
    assert gates.resolve() == []
    severed = gates.remove(b, 6)
    assert severed.own is not None
    assert (severed.own.upstream, ends(severed.lost)) == (a, [(b, c)])
    assert gates.remove(a, 7).lost == []
    assert c.resolution is None


def test_only_named_metrics_with_an_id_can_be_watched_by_others() -> None:
    """Everything else is private to its body."""
    gates = Gates()
    waiters = [scenario("w", None, gate(ref, "x")) for ref in ("logs", "None", "a")]
    gates.add(waiters, 0)
    gates.add([scenario("a", None)], 0)
    logs = LaunchedScenario("i", planned_entry("l", id="logs", signal_type="logs"), "x", now_ns=0)
    gates.add([logs, scenario(None, "x")], 0)
    assert gates.resolve() == []
    found = scenario("a", "x")
    gates.add([found], 0)
    assert ends(gates.resolve()) == [(found, waiters[2])]


def test_the_next_body_of_a_name_is_not_retired_by_the_last() -> None:
    """An entry that ends late takes its own registration along, not its successor's."""
    gates = Gates()
    old, new, late = scenario("a", "x"), scenario("a", "x"), scenario("w", None, gate("a", "x"))
    gates.add([old], 0)
    gates.add([new], 0)
    gates.remove(old, 1)
    assert ends(gates.add([late], 2)) == [(new, late)]


class GateMachine(RuleBasedStateMachine):
    """Bodies come and entries end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = Gates()
        self.numbers = itertools.count()
        self.now_ns = 0
        self.alive: list[LaunchedScenario] = []
        self.upstream: dict[LaunchedScenario, LaunchedScenario | None] = {}
        self.attempts: dict[LaunchedScenario, int] = {}
        self.first_wait: dict[LaunchedScenario, int] = {}

    def published(self, clause: GatePlan) -> LaunchedScenario | None:
        names = (clause.scenario_name, clause.ref)
        return next((one for one in self.alive if (one.scenario_name, one.entry.plan.id) == names), None)

    @rule(
        body=st.sampled_from([None, *BODIES]),
        clauses=st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(BODIES)) | st.none(), min_size=1, max_size=3),
    )
    def post(self, body: str | None, clauses: list[tuple[str, str] | None]) -> None:
        if body is not None and any(one.scenario_name == body for one in self.alive):
            return
        self.now_ns += 1
        entries = [
            scenario(entry_id, body, None if clause is None or clause[1] == body else gate(*clause))
            for entry_id, clause in zip(IDS, clauses, strict=False)
        ]
        expected = []
        for one in entries:
            clause = one.entry.plan.gate
            if clause is not None:
                upstream = self.upstream[one] = self.published(clause)
                self.attempts[one] = 0
                if upstream is None:
                    self.first_wait[one] = self.now_ns
                else:
                    expected.append((upstream, one))
        assert ends(self.gates.add(entries, self.now_ns)) == expected
        self.alive += entries
        self.resolve()

    def resolve(self) -> None:
        expected = []
        for one, upstream in self.upstream.items():
            clause = one.entry.plan.gate
            if upstream is None and clause is not None and (found := self.published(clause)) is not None:
                self.upstream[one] = found
                self.attempts[one] += 1
                expected.append((found, one))
        assert sorted(ends(self.gates.resolve()), key=str) == sorted(expected, key=str)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.now_ns += 1
        one = data.draw(st.sampled_from(self.alive), label="ends")
        self.alive.remove(one)
        own = self.upstream.pop(one, None)
        severed = self.gates.remove(one, self.now_ns)
        assert (severed.own and severed.own.upstream) is own
        lost = [down for down, upstream in self.upstream.items() if upstream is one]
        assert {wire.downstream for wire in severed.lost} == set(lost)
        for down in lost:
            self.upstream[down] = None
            self.first_wait.setdefault(down, self.now_ns)
        self.resolve()

    @invariant()
    def attempts_and_first_waits_are_told(self) -> None:
        for one in self.upstream:
            resolution = one.resolution
            assert (resolution.attempts if resolution else 0) == self.attempts[one]
            assert (resolution and resolution.registered_at_ns) == self.first_wait.get(one)


TestGateMachine = GateMachine.TestCase
