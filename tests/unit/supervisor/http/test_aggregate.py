"""GET /scenarios/metrics: newest values of all scenarios, grouped, selected, and never taken."""

import contextlib
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.states import State
from supervisor.http.aggregate import Selection, selection
from supervisor.http.errors import BadQuery
from tests.support.http_app import AppClient

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_HELP = "# HELP {} Emitted by sondad.\n"
TARGET = "/scenarios/metrics"
STATES = "pending, running, paused, held, unresolved, finished"


def body(*entries: str) -> str:
    items = "".join(f"  - {{signal_type: metrics, {entry}}}\n" for entry in entries)
    return f"version: 2\ndefaults: {{rate: 10}}\nscenarios:\n{items}"


CONSTANT = "generator: {type: constant, value: 1}"
STEP = "generator: {type: step, step_size: 1}"


def emit(client: AppClient, scenario_id: str, *values: float) -> None:
    client.plane.emit(scenario_id, 0, np.arange(len(values)) * 1_000_000, np.array(values))


def test_without_scenarios_it_is_an_empty_success(client: AppClient) -> None:
    """200 and no line."""
    answer = client.get(TARGET)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", EXPOSITION)


def test_each_series_is_shown_once_with_its_newest_value(client: AppClient) -> None:
    """Type line, labels sorted, no timestamps; asking takes nothing, and asking again gives the same bytes."""
    (scenario_id,) = client.launch(
        body(f"name: up, labels: {{z: 1, a: 2}}, dynamic_labels: [{{key: h, prefix: p, cardinality: 2}}], {CONSTANT}")
    )
    emit(client, scenario_id, 1.0, 2.0, 0.25)
    expected = '# HELP up Emitted by sondad.\n# TYPE up gauge\nup{a="2",h="p0",z="1"} 0.25\nup{a="2",h="p1",z="1"} 2\n'
    assert client.get(TARGET).text == expected
    assert client.get(TARGET).text == expected
    assert len(client.get(f"/scenarios/{scenario_id}/metrics").text.splitlines()) == 3
    assert client.get(TARGET).text == expected
    assert client.request("HEAD", TARGET).headers["content-length"] == str(len(expected))


def test_rows_come_in_the_order_of_ids_and_those_of_one_name_together(client: AppClient) -> None:
    """Metadata first, then the samples of every row of the name; help of the first that has one."""
    rows = client.launch(
        body(*(f"name: {name}, labels: {{n: {place}}}, {CONSTANT}" for place, name in enumerate("abab")))
    ) + client.launch(body(f"name: b, help: 'a\\b', {CONSTANT}"))
    for value, scenario_id in enumerate(rows):
        emit(client, scenario_id, float(value))
    names = dict(zip(rows, "ababb", strict=True))
    ordered = sorted(rows)
    expected = ""
    for name in dict.fromkeys(names[row] for row in ordered):
        expected += "# HELP b a\\\\b\n" if name == "b" else f"# HELP {name} Emitted by sondad.\n"
        expected += f"# TYPE {name} gauge\n"
        for row in ordered:
            place = rows.index(row)
            if names[row] == name:
                expected += f'{name}{{n="{place}"}} {place}\n' if place < 4 else f"{name} {place}\n"
    assert client.get(TARGET).text == expected


def test_a_name_of_two_types_is_untyped(client: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, not at every scrape."""
    caplog.set_level(logging.WARNING)
    client.launch(body(f"name: up, {CONSTANT}", f"name: up, {STEP}", f"name: down, {STEP}"))
    for _ in range(3):
        types = [line for line in client.get(TARGET).text.splitlines() if line.startswith("# TYPE ")]
        assert set(types) == {"# TYPE up untyped", "# TYPE down counter"}
    assert [record.message for record in caplog.records if "untyped" in record.message] == [
        "scenarios of different metric types share the name up, shown as untyped"
    ]


def test_a_declared_type_wins_and_logs_are_left_out(client: AppClient) -> None:
    """`metric_type` is what the entry says; a row of logs has neither samples nor metadata."""
    client.launch(
        body(f"name: up, metric_type: counter, {CONSTANT}")
        + "  - {signal_type: logs, name: words, encoder: {type: json_lines}, "
        "log_generator: {type: template, templates: [{message: hello}]}}\n"
    )
    assert client.get(TARGET).text == "# HELP up Emitted by sondad.\n# TYPE up counter\n"


def test_finished_scenarios_keep_their_last_values(client: AppClient) -> None:
    """Until they are deleted, unless the states that are asked for leave them out."""
    first, second = client.launch(body(f"name: one, {CONSTANT}", f"name: two, {CONSTANT}"))
    emit(client, first, 1.0)
    emit(client, second, 2.0)
    client.plane.finish(first)
    assert "one 1\n" in client.get(TARGET).text
    assert client.get(f"{TARGET}?include_state=finished").text == f"{_HELP.format('one')}# TYPE one gauge\none 1\n"
    assert (
        client.get(f"{TARGET}?include_state=pending,%20running").text
        == f"{_HELP.format('two')}# TYPE two gauge\ntwo 2\n"
    )
    assert client.get(f"{TARGET}?include_state=paused&include_state=held,unresolved").text == ""
    client.request("DELETE", f"/scenarios/{first}")
    assert client.get(TARGET).text == f"{_HELP.format('two')}# TYPE two gauge\ntwo 2\n"


def test_a_series_of_several_scenarios_is_shown_once(client: AppClient) -> None:
    """That of one that runs before that of a finished one; what only the other one has stays."""
    rotating = "dynamic_labels: [{key: h, prefix: p, cardinality: 2}]"
    (first,) = client.launch(body(f"name: up, {rotating}, {CONSTANT}"))
    (second,) = client.launch(body(f"name: up, {rotating}, {CONSTANT}"))
    emit(client, first, 1.0, 2.0)
    emit(client, second, 3.0)
    client.plane.finish(first)
    head = f"{_HELP.format('up')}# TYPE up gauge\n"
    assert sorted(client.get(TARGET).text.removeprefix(head).splitlines()) == ['up{h="p0"} 3', 'up{h="p1"} 2']
    client.plane.finish(second)
    assert len(client.get(TARGET).text.splitlines()) == 4


def test_labels_select_by_their_static_pairs(client: AppClient) -> None:
    """All filters must match, exactly, and a rotating label never does."""
    client.launch(
        body(
            f"name: one, labels: {{env: prod, url: 'http://x'}}, {CONSTANT}",
            f"name: two, labels: {{env: prod, 'zone': 'a b'}}, {CONSTANT}",
            f"name: three, dynamic_labels: [{{key: env, values: [prod]}}], {CONSTANT}",
        )
    )

    def names(query: str) -> set[str]:
        return {line.split()[2] for line in client.get(f"{TARGET}?{query}").text.splitlines()}

    assert names("label=env:prod") == {"one", "two"}
    assert names("label=env:prod&label=zone:a+b") == {"two"}
    assert names("label=url:http://x") == {"one"}
    assert names("label=url%3Ahttp%3a//x&x=y") == {"one"}
    assert names("label=env:pro") == set()
    assert names("Label=nonsense") == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("label=env", "label filter 'env' is malformed: expected 'key:value'"),
        ("label=", "label filter '' is malformed: expected 'key:value'"),
        ("label", "label filter '' is malformed: expected 'key:value'"),
        ("label=%zz+x", "label filter '%zz x' is malformed: expected 'key:value'"),
        ("label=:v", "label filter ':v' has an empty key"),
        ("label=k:", "label filter 'k:' has an empty value"),
        ("include_state=", "include_state requires at least one state name"),
        ("include_state=running,,held", "include_state requires at least one state name"),
        (
            "include_state=running,Paused",
            f"unknown state name 'Paused' in include_state — expected one of: {STATES}",
        ),
        ("include_state=x&label=y", "label filter 'y' is malformed: expected 'key:value'"),
    ],
)
def test_a_bad_filter_is_refused(shared_client: AppClient, query: str, detail: str) -> None:
    """The text says what was found and what is expected; labels are looked at first."""
    answer = shared_client.get(f"{TARGET}?{query}")
    assert (answer.status_code, answer.json) == (400, {"error": "bad_request", "detail": detail})


def test_the_last_states_win() -> None:
    """Earlier lists are not even looked at; names may repeat and have blanks around them."""
    chosen = selection("include_state=nonsense&include_state=held,%09running+,held")
    assert chosen == Selection((), frozenset({State.HELD, State.RUNNING}))


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_query_is_a_selection_or_a_refusal(query: str) -> None:
    """Nothing that a client can send ends otherwise."""
    with contextlib.suppress(BadQuery):
        assert isinstance(selection(query), Selection)
