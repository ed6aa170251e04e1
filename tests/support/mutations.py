"""Scenario bodies with faults put in on purpose: every one of them must be refused.

A mutation takes a body that is fine and makes it one that cannot be, in a way that depends on nothing but the given
random source, so that a failure can be repeated from its seed.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import yaml

Body = dict[str, Any]

BASE: Body = {
    "version": 2,
    "scenario_name": "base",
    "defaults": {
        "rate": 10,
        "duration": "30s",
        "encoder": {"type": "prometheus_text", "precision": 3},
        "sink": {"type": "memory"},
        "labels": {"job": "a", "region": "eu"},
    },
    "scenarios": [
        {
            "id": "one",
            "signal_type": "metrics",
            "name": "one",
            "generator": {"type": "sine", "amplitude": 1.5, "period_secs": 60, "offset": 2},
            "labels": {"host": "x"},
            "dynamic_labels": [{"key": "pod", "prefix": "p-", "cardinality": 5}],
            "jitter": 0.5,
            "jitter_seed": 3,
            "phase_offset": "10ms",
            "clock_group": "g",
        },
        {
            "id": "two",
            "signal_type": "metrics",
            "name": "two",
            "rate": 1.5,
            "generator": {"type": "sequence", "values": [1, 2, 3], "repeat": True},
            "gaps": {"every": "10s", "for": "1s"},
            "bursts": {"every": "20s", "for": "2s", "multiplier": 3},
            "cardinality_spikes": [{"label": "err", "every": "10s", "for": "1s", "cardinality": 4}],
            "on_sink_error": "fail",
        },
        {
            "signal_type": "metrics",
            "name": "three",
            "generator": {"type": "uniform", "min": 0, "max": 1, "seed": 7},
            "encoder": {"type": "json_lines"},
            "sink": {"type": "tcp", "address": "10.255.255.1:9"},
            "start_time": "2026-01-01T00:00:00Z",
        },
    ],
}

# Mappings whose keys are the user's own: an unknown key there is no fault.
_FREE = {"labels"}
_REQUIRED = {
    "version",
    "signal_type",
    "name",
    "generator",
    "type",
    "amplitude",
    "period_secs",
    "offset",
    "values",
    "min",
    "max",
    "every",
    "for",
    "multiplier",
    "label",
    "key",
    "address",
}
_OUT_OF_BOUNDS: dict[str, list[Any]] = {
    "version": [1, 3, "2", 2.0, None, [2]],
    "rate": [0, -1, float("nan"), float("inf"), "fast", [], {}],
    "duration": ["0s", "-1s", "5", "s", "", "1 week", 5, []],
    "name": ["", "9x", "a b", "a-b", [], {}],
    "id": ["", "9", "a b", [], {}],
    "signal_type": ["metric", "", 1, []],
    "type": ["", "nothing", 1, None, []],
    "precision": [-1, 256, 1.5, "x", []],
    "jitter": ["x", [], {}],
    "phase_offset": ["-1s", "x", 5, []],
    "start_time": ["yesterday", "2026-13-01T00:00:00Z", 5, []],
    "on_sink_error": ["ignore", "", 1, []],
    "amplitude": ["x", [], {}],
    "period_secs": ["x", [], {}],
    "values": [[], "x", {}, ["x"]],
    "repeat": ["maybe", 2, []],
    "every": ["0s", "x", [], "1ms"],
    "for": ["0s", "x", [], "1h"],
    "multiplier": [0, -1, "x", []],
    "cardinality": [0, -1, 1.5, "x", []],
    "address": [5, [], {}],
    "labels": ["x", [], {"9": "x"}, {"a b": "x"}, {"a": []}, {"a": {"b": "c"}}],
    "scenarios": [[], {}, "x", None, 5, [5], ["x"], [None]],
    "defaults": ["x", [], 5],
    "generator": ["sine", [], {}, None, 5],
    "encoder": ["prometheus_text", [], {}, 5],
    "sink": ["memory", [], {}, 5],
    "gaps": ["x", [], 5, {}],
    "bursts": ["x", [], 5, {}],
    "dynamic_labels": ["x", 5, [5], [{}]],
    "cardinality_spikes": ["x", 5, [5], [{}]],
}


def _mappings(node: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield name, node
        for key, value in node.items():
            yield from _mappings(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _mappings(value, name)


def _unknown_field(body: Body, source: random.Random) -> None:
    _, mapping = source.choice([found for found in _mappings(body) if found[0] not in _FREE])
    mapping[source.choice(["x", "rates", "Type", "", "1", "ünï", "name ", "k" * 300])] = source.choice(
        [1, "x", None, []]
    )


def _missing_field(body: Body, source: random.Random) -> None:
    places = [(mapping, key) for name, mapping in _mappings(body) if name not in _FREE for key in mapping]
    mapping, key = source.choice([place for place in places if place[1] in _REQUIRED])
    del mapping[key]


def _bad_value(body: Body, source: random.Random) -> None:
    places = [(mapping, key) for name, mapping in _mappings(body) if name not in _FREE for key in mapping]
    mapping, key = source.choice([place for place in places if place[1] in _OUT_OF_BOUNDS])
    mapping[key] = source.choice(_OUT_OF_BOUNDS[key])


def _same_id(body: Body, source: random.Random) -> None:
    first, second = source.sample(body["scenarios"], 2) if len(body["scenarios"]) > 1 else body["scenarios"] * 2
    first["id"] = second["id"] = "same"


def _unset_variable(body: Body, source: random.Random) -> None:
    _, mapping = source.choice(list(_mappings(body)))
    mapping[source.choice(list(mapping))] = source.choice(["${NOT_SET}", "x${SONDA_API_KEY}"])


_MUTATIONS: list[Callable[[Body, random.Random], None]] = [
    _unknown_field,
    _missing_field,
    _bad_value,
    _bad_value,
    _same_id,
    _unset_variable,
]


def _cut(text: bytes, source: random.Random) -> bytes:
    return text[: source.randrange(1, len(text) - 1)]


def _break_encoding(text: bytes, source: random.Random) -> bytes:
    place = source.randrange(len(text))
    return text[:place] + source.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x07"]) + text[place:]


def scrambled_body(source: random.Random) -> tuple[str, bytes]:
    """Return the content type and the text of a body in which a few bytes were changed; it may still be a good one."""
    content_type, text = source.choice(
        [("application/json", json.dumps(BASE)), ("text/yaml", yaml.safe_dump(BASE, sort_keys=False))]
    )
    scrambled = bytearray(text.encode())
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(scrambled))
        match source.randrange(4):
            case 0:
                scrambled[place] = source.randrange(256)
            case 1:
                del scrambled[place : place + source.randint(1, 20)]
            case 2:
                scrambled[place:place] = source.choice(
                    [b"\n", b" ", b"- ", b": ", b"{", b"]", b"&a ", b"*a", b"!!", b"#", b"'"]
                )
            case _:
                other = source.randrange(len(scrambled))
                scrambled[place:place] = scrambled[other : other + source.randint(1, 40)]
    return content_type, bytes(scrambled)


def broken_body(source: random.Random) -> tuple[str, bytes]:
    """Return the content type and the text of a body that cannot be accepted."""
    body = copy.deepcopy(BASE)
    if source.random() < 0.8:
        source.choice(_MUTATIONS)(body, source)
        if source.random() < 0.6:
            text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
            return "text/yaml", text.encode()
        return "application/json", json.dumps(body).encode()
    if source.random() < 0.5:
        return "application/json", _cut(json.dumps(body).encode(), source)
    content_type, text = source.choice(
        [("application/json", json.dumps(body)), ("text/yaml", yaml.safe_dump(body, sort_keys=False))]
    )
    return content_type, _break_encoding(text.encode(), source)
