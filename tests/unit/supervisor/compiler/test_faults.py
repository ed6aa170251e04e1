"""All mistakes of a body at once: each with its place in the posted text and a hint where one can be guessed."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BodyFault, CompileError
from supervisor.compiler import BodyFormat, Context, PackSources, compile_scenario, prepare
from supervisor.reading.recording import MAX_FAULTS
from tests.support.compiling import body, entry, refusal_of
from tests.unit.supervisor.compiler.documents import EVERYTHING

WRONG = """\
version: 2
kind: runnable
defaults:
  rate: 10
  duration: 10 s
scenarios:
  - signal_type: metrics
    name: my-metric
    generator: {type: sine, amplitud: 3, period_secs: 60, offset: 1}
    sink: stdout
    interval: 3
  - signal_type: logs
    name: l
    rate: -3
    generator: {type: template, templates: [{message: x}]}
  - signal_type: metric
    name: b
    generator: {type: constant, value: "3"}
    labels: {bad-key: 1}
  - signal_type: metrics
    generator: {type: sequence, values: [1, a, 3, b]}
    jitter: -1
    encoder: {type: promtheus_text}
    sink: {type: http_push, url: "localhost:80"}
"""


def faults_of(text: str, form: BodyFormat = BodyFormat.YAML, context: Context | None = None) -> tuple[BodyFault, ...]:
    context = context or Context()
    with pytest.raises(CompileError) as caught:
        prepare(compile_scenario(text.encode(), form, context), context)
    assert caught.value.faults
    return caught.value.faults


def hint_of(text: str, form: BodyFormat = BodyFormat.YAML, context: Context | None = None) -> str | None:
    return faults_of(text, form, context)[0].hint


def at(text: str, fault: BodyFault) -> str:
    """Return what stands at the place of a fault."""
    assert fault.line is not None
    assert fault.column is not None
    return text.split("\n")[fault.line - 1][fault.column - 1 :]


def test_every_mistake_of_every_stage_is_told() -> None:
    """Fields, words, structure, inherited values and values that cannot run, each at its place."""
    told = {fault.path: (at(WRONG, fault), fault.hint) for fault in faults_of(WRONG)}
    assert told == {
        "scenarios[0].generator": (
            "{type: sine, amplitud: 3, period_secs: 60, offset: 1}",
            "`amplitud` is probably meant to be `amplitude`",
        ),
        "scenarios[0].sink": ("stdout", "`sink: stdout` is written `sink: {type: stdout}`"),
        "scenarios[1].generator": ("template, templates: [{message: x}]}", "logs take `log_generator`"),
        "scenarios[2].generator.value": ('"3"}', "write 3 without quotes"),
        "scenarios[3].generator.values[1]": ("a, 3, b]}", "a number is expected, such as 10 or 0.5"),
        "scenarios[3].generator.values[3]": ("b]}", "a number is expected, such as 10 or 0.5"),
        "scenarios[3].encoder": ("promtheus_text}", "did you mean `prometheus_text`?"),
        "scenarios[0].generator.amplitud": ("amplitud: 3, period_secs: 60, offset: 1}", "did you mean `amplitude`?"),
        "scenarios[0].interval": (
            "interval: 3",
            "`rate` says how many events a second: an interval of 10s is `rate: 0.1`",
        ),
        "scenarios[2].signal_type": ("metric", "did you mean `metrics`?"),
        "scenarios[3]": ("signal_type: metrics", "add `name:`"),
        "defaults.duration": (
            "10 s",
            "a duration is one number and one unit, with nothing between: 90s, not 1m30s or 90 s",
        ),
        "scenarios[0].name": ("my-metric", "did you mean `my_metric`?"),
        "scenarios[1].rate": ("-3", "rate is in events a second"),
        "scenarios[2].labels.bad-key": ("bad-key: 1}", "did you mean `bad_key`?"),
        "scenarios[3].jitter": ("-1", None),
        "scenarios[3].sink.url": ('"localhost:80"}', "did you mean `http://localhost:80`?"),
    }


def test_json_has_the_same_faults_at_their_places() -> None:
    """The fast parser tells no positions, and still every place is exact."""
    text = json.dumps(yaml.safe_load(WRONG), indent=1)
    yaml_faults, json_faults = faults_of(WRONG), faults_of(text, BodyFormat.JSON)
    assert [(fault.path, fault.hint) for fault in json_faults] == [(fault.path, fault.hint) for fault in yaml_faults]
    places = {fault.path: at(text, fault) for fault in json_faults}
    assert places["scenarios[2].generator.value"] == '"3"'
    assert places["scenarios[0].interval"] == '"interval": 3'
    assert places["scenarios[1].rate"] == "-3,"
    assert places["scenarios[3].generator.values[3]"] == '"b"'


def test_places_are_those_of_the_text_before_references_were_replaced() -> None:
    """A long default shifts nothing, in its line or below it."""
    text = (
        "version: 2\nname: ${NAME:-a_name_that_is_longer}\nrate: ${RATE:-1\n }\n"
        "labels: {a: ${A:-x}, bad-key: y}\nencoder: {type: ${E:-pigeon}}\ngenerator: {type: constant, value: 1}\n"
    )
    told = {fault.path: at(text, fault) for fault in faults_of(text)}
    assert told == {"encoder": "${E:-pigeon}}", "labels.bad-key": "bad-key: y}"}


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "1e400"])
def test_words_that_json_does_not_have_stand_at_their_place(word: str) -> None:
    """The parser tells the word alone; it is found outside of strings."""
    (fault,) = faults_of(f'{{"a": "{word}",\n "b": [1, {word}]}}', BodyFormat.JSON)
    assert (fault.line, fault.column) == (2, 11)


def test_places_of_a_json_body_with_references() -> None:
    """A key that a reference makes is found too."""
    text = '{"version": 2, "name": "up", "rate": 1, "labels": {"${K:-bad-key}": "x"}, "generator": {"type": "steady"}}'
    (fault,) = faults_of(text, BodyFormat.JSON)
    assert (fault.path, at(text, fault)[:6]) == ("labels.bad-key", '"${K:-')


@pytest.mark.parametrize(
    ("text", "form", "hint"),
    [
        ("", BodyFormat.YAML, "the body is empty"),
        (" \n", BodyFormat.JSON, "the body is empty"),
        ("- a\n", BodyFormat.YAML, "the body is a list; a scenario file is a map with `version: 2` at its top"),
        (
            "file.yaml",
            BodyFormat.YAML,
            "the body is a single text; send the content of a file, with curl as --data-binary @FILE",
        ),
        ("name: up\n", BodyFormat.YAML, "write `version: 2` at the top"),
        ("version: '2'\n", BodyFormat.YAML, "write `version: 2` without quotes"),
        ("version: 2\nscenario: []\n", BodyFormat.YAML, "`scenario` is probably meant to be `scenarios`"),
        ("version: 2\nscenarios:\n\t- a: 1\n", BodyFormat.YAML, "a tab; YAML indents with blanks"),
        (
            "version: 2\nscenarios:\n  - name: up\n    rate: 5\n   jitter: 1\n",
            BodyFormat.YAML,
            "the line is indented as no line above it is",
        ),
        (
            "version: 2\nscenario_name: a: b\n",
            BodyFormat.YAML,
            "a text that contains a colon and a blank is put in quotes",
        ),
        (
            "version: 2name: uprate: 1  generator: {type: steady}",
            BodyFormat.YAML,
            "the text has no line breaks; `curl -d` strips them, use --data-binary",
        ),
        ("version: 2\nname: up\n", BodyFormat.JSON, "the body looks like YAML; send it with Content-Type: text/yaml"),
        ("{'version': 2}", BodyFormat.JSON, "JSON takes double quotes"),
        ('{"version": 2,}', BodyFormat.JSON, "JSON takes no comma behind the last member"),
        ("version: 2\nname: *up\n", BodyFormat.YAML, "a text that begins with * is put in quotes"),
        ("version: 2\nname: ${up}\n", BodyFormat.YAML, "did you mean ${UP}?"),
        ("version: 2\nname: ${UP}\n", BodyFormat.YAML, "a default is written ${UP:-value}"),
        ("version: 2\nkind: runable\n", BodyFormat.YAML, "did you mean `runnable`?"),
    ],
)
def test_hints_about_the_body_as_a_whole(text: str, form: BodyFormat, hint: str) -> None:
    """What people do to a body on its way here is guessed."""
    assert hint_of(text, form) == hint


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        (
            {"generator": {"type": "constant", "value": 1, "rate": 3}},
            "`rate` belongs beside `generator`: indent it less",
        ),
        ({"amplitude": 3}, "`amplitude` belongs in `generator`"),
        ({"path": "/tmp/x"}, "`path` belongs in `sink`"),
        ({"durations": "1s"}, "did you mean `duration`?"),
        ({"duration": "10"}, "a duration has a unit: did you mean `10s`?"),
        ({"duration": "1d"}, "days are written in hours: `24h`"),
        (
            {"generator": {"type": "sequence", "values": [1], "repeat": "yes"}},
            "write `true`: YAML 1.2 knows only true and false",
        ),
        ({"signal_type": "logs"}, "logs take `log_generator`"),
        ({"sink": {"type": "stdot"}}, "did you mean `stdout`?"),
        ({"sink": {}}, None),
        ({"encoder": {"type": "json"}}, "did you mean `json_lines`?"),
        ({"pack": "interfaces", "generator": None, "name": None}, None),
    ],
)
def test_hints_about_an_entry(fields: dict[str, Any], hint: str | None) -> None:
    """A field that is written wrong or stands in the wrong place."""
    if hint is not None:
        assert hint_of(body(entry(**fields))) == hint
    else:
        faults_of(body(entry(**fields)))


def test_a_pack_of_almost_this_name_is_named() -> None:
    """The catalog and the built-in packs are what may be meant."""
    text = "version: 2\nsignal_type: metrics\nrate: 1\npack: node_exporter_memry\n"
    assert hint_of(text, context=Context(packs=PackSources(builtin=True))) == "did you mean `node_exporter_memory`?"


def test_an_upstream_of_almost_this_id_is_named() -> None:
    """Ids that are there are compared; a name without an id is told."""
    waits = entry(id="b", name="b", duration="1s", while_={"ref": "upp", "op": ">", "value": 1})
    assert hint_of(body(entry(), waits)) == "did you mean `up`?"
    nameless = entry(id=None, name="load")
    assert hint_of(body(nameless, waits | {"while": {"ref": "load", "op": ">", "value": 1}})) == (
        "the entry named `load` has no id: add `id: load` to it"
    )


def test_one_mistake_of_the_defaults_is_told_once() -> None:
    """Every entry inherits it; there is one place to mend."""
    entries = [entry(id=f"e{index}", rate=None) for index in range(5)]
    (fault,) = faults_of(body(*entries, defaults={"rate": -1}))
    assert (fault.path, fault.message) == ("defaults.rate", "rate must be positive, got -1")


def test_what_follows_from_a_fault_is_no_fault() -> None:
    """A field that cannot be read is not missed as well, and nobody misses the entry that it stands in."""
    upstream = entry(id="up", generator={"type": "sin"}, rate="x", sink="stdout")
    waits = entry(id="b", duration=[], while_={"ref": "up", "op": ">", "value": 1}, delay={"open": "1s"})
    assert [fault.path for fault in faults_of(body(upstream, waits))] == [
        "scenarios[0].rate",
        "scenarios[0].generator",
        "scenarios[0].sink",
        "scenarios[1].duration",
    ]


def test_there_are_never_too_many() -> None:
    """A body of nothing but mistakes is answered with the first of them."""
    assert len(faults_of(body(*[entry(id=None, rate=-1, bad=1, jitter=-1) for _ in range(500)]))) == MAX_FAULTS
    values = {"type": "sequence", "values": ["a"] * 10_000}
    assert len(faults_of(body(entry(generator=values)))) == MAX_FAULTS


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield from paths(inner, (*path, step))


POOL = [None, "x", -1, "1s", [], {}, True, "metric", {"type": "constant", "value": 1}, [1, "a"], "a b", "${X:-1}", "up"]


def several_mistakes(source: random.Random) -> str:
    document = copy.deepcopy(EVERYTHING)
    for _ in range(source.randint(2, 5)):
        *outer, last = source.choice(list(paths(document)))
        parent: Any = document
        for step in outer:
            parent = parent[step]
        if source.random() < 0.5:
            parent[last] = source.choice(POOL)
        elif isinstance(parent, dict):
            parent[source.choice(["amplitud", "rate", "while", "after", "sink", "id", "delay", "pack"])] = parent.pop(
                last
            )
        else:
            del parent[last]
    return json.dumps(document, indent=1)


@pytest.mark.parametrize("form", list(BodyFormat))
@given(source=st.randoms(use_true_random=True))
def test_going_on_after_a_fault_never_fails_and_places_are_real(form: BodyFormat, source: random.Random) -> None:
    """Whatever was mended to look further is taken by every later stage; each place is one of the text."""
    context = Context()
    text = several_mistakes(source)
    lines = text.split("\n")
    try:
        prepare(compile_scenario(text.encode(), form, context), context)
    except CompileError as exc:
        refusal = exc
    else:
        return
    assert refusal.faults[0].message in refusal.detail or "unknown fields" in refusal.detail
    for fault in refusal.faults:
        assert fault.line is not None
        assert fault.column is not None
        assert fault.column <= len(lines[fault.line - 1])


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_a_body_with_more_mistakes_than_are_told_is_refused_like_any_other(signal: str) -> None:
    """An entry whose mistake finds no room in the list is not used either."""
    posted = json.dumps({"version": 2, "scenarios": [{"signal_type": signal}] * (2 * MAX_FAULTS)})
    with pytest.raises(CompileError) as caught:
        compile_scenario(posted.encode(), BodyFormat.JSON, Context())
    assert len(caught.value.faults) == MAX_FAULTS


@pytest.mark.parametrize(
    "text", ["a: b: " + "x" * 1_000_000, "a: [" + ":\ta" * 300_000 + "\n]]"], ids=["a word", "colons"]
)
def test_a_guess_takes_no_longer_than_the_reading(text: str) -> None:
    """A search that goes over the rest of the text at each of its characters would take hours."""
    assert refusal_of(text).status == 400
