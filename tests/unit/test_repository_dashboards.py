"""The dashboard that is shipped is one that Grafana imports. Source: Grafana, "Dashboard JSON model" (classic)."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import validator_for

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "examples" / "grafana" / "sondad.json").read_text())
RULES = ROOT / "examples" / "prometheus" / "sondad-rules.yml"
RULE_TESTS = RULES.with_name("sondad-rules-test.yml")


def closed(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """An object with exactly these fields, of which some may be missing."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
ANY_TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}
PLACE = closed(
    {
        "h": {"type": "integer", "minimum": 1},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "x": WHOLE,
        "y": WHOLE,
    }
)
SOURCE = closed({"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}})
TARGET = closed(
    {
        "refId": {"type": "string", "pattern": "^[A-Z]$"},
        "datasource": SOURCE,
        "expr": TEXT,
        "legendFormat": ANY_TEXT,
        "instant": FLAG,
        "format": {"enum": ["time_series", "table"]},
    },
    "instant",
    "format",
)
STEP = closed({"color": TEXT, "value": {"type": ["number", "null"]}})
MEANING = closed({"text": TEXT, "index": WHOLE, "color": TEXT}, "color")
MAPPING = closed({"type": {"const": "value"}, "options": {"type": "object", "additionalProperties": MEANING}})
DRAWING = closed(
    {
        "drawStyle": {"enum": ["line", "bars", "points"]},
        "lineWidth": WHOLE,
        "fillOpacity": {"type": "integer", "minimum": 0, "maximum": 100},
        "showPoints": {"enum": ["auto", "never", "always"]},
        "stacking": closed({"mode": {"enum": ["none", "normal", "percent"]}, "group": TEXT}),
    }
)
FIELDS = closed(
    {
        "unit": {"enum": ["none", "s", "percentunit", "cps", "ops", "reqps", "Bps", "bytes"]},
        "min": {"type": "number"},
        "custom": DRAWING,
        "thresholds": closed({"mode": {"const": "absolute"}, "steps": {"type": "array", "items": STEP, "minItems": 1}}),
        "mappings": {"type": "array", "items": MAPPING},
    },
    "unit",
    "min",
    "custom",
    "thresholds",
    "mappings",
)
ROW = closed(
    {
        "id": WHOLE,
        "type": {"const": "row"},
        "title": TEXT,
        "collapsed": FLAG,
        "gridPos": PLACE,
        "panels": {"type": "array", "maxItems": 0},
    }
)
PANEL = closed(
    {
        "id": WHOLE,
        "type": {"enum": ["timeseries", "stat", "table"]},
        "title": TEXT,
        "description": TEXT,
        "datasource": SOURCE,
        "gridPos": PLACE,
        "targets": {"type": "array", "items": TARGET, "minItems": 1},
        "fieldConfig": closed({"defaults": FIELDS, "overrides": {"type": "array"}}),
        "options": {"type": "object"},
        "transformations": {"type": "array", "items": closed({"id": TEXT, "options": {"type": "object"}})},
    },
    "transformations",
)
VARIABLE = closed(
    {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "label": TEXT,
        "type": {"enum": ["datasource", "query"]},
        "datasource": SOURCE,
        "definition": TEXT,
        "query": {"anyOf": [{"const": "prometheus"}, closed({"query": TEXT, "refId": TEXT})]},
        "hide": WHOLE,
        "refresh": {"enum": [0, 1, 2]},
        "sort": WHOLE,
        "multi": FLAG,
        "includeAll": FLAG,
        "allValue": TEXT,
        "options": {"type": "array", "maxItems": 0},
        "current": {"type": "object"},
    },
    "datasource",
    "definition",
    "sort",
    "allValue",
)
SCHEMA = closed(
    {
        "id": {"type": "null"},
        "uid": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
        "title": TEXT,
        "description": TEXT,
        "tags": {"type": "array", "items": TEXT},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "version": WHOLE,
        "editable": FLAG,
        "graphTooltip": {"enum": [0, 1, 2]},
        "refresh": {"type": "string", "pattern": "^[0-9]+[smh]$"},
        "timezone": {"enum": ["browser", "utc", ""]},
        "time": closed({"from": TEXT, "to": TEXT}),
        "annotations": closed({"list": {"type": "array"}}),
        "links": {"type": "array"},
        "templating": closed({"list": {"type": "array", "items": VARIABLE}}),
        "panels": {"type": "array", "items": {"anyOf": [ROW, PANEL]}, "minItems": 1},
    }
)


def test_the_dashboard_keeps_to_the_schema() -> None:
    """Every field is one that the model has, with a value that it may have; the schema itself is not idle."""
    validator = validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA})
    assert [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(DASHBOARD)] == []
    for spoiled in ({**DASHBOARD, "id": 3}, {**DASHBOARD, "panels": []}, {**DASHBOARD, "pannels": []}):
        assert not validator.is_valid(spoiled)


def test_panels_have_their_own_numbers_and_places() -> None:
    """No two share an id, none lies upon another or sticks out of the grid of 24 columns."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_queries_use_what_the_dashboard_defines() -> None:
    """Its variables and those of Grafana itself; every query is of the instances that were picked."""
    own = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
            assert used <= own | {"__rate_interval"}
            assert "instance" in used, target["expr"]
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(refs)) == len(refs)


def test_every_alert_is_tested_both_ways() -> None:
    """Firing where something is wrong, and silent where nothing is."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tests = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    alerts = sorted(rule["alert"] for rule in rules if "alert" in rule)
    expected = {
        wanted: sorted(
            one["alertname"] for test in tests for one in test["alert_rule_test"] if bool(one["exp_alerts"]) is wanted
        )
        for wanted in (True, False)
    }
    assert expected == {True: alerts, False: alerts}
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules if "alert" in rule)
    records = {one["expr"] for test in tests for one in test.get("promql_expr_test", [])}
    assert records == {rule["record"] for rule in rules if "record" in rule}
