"""What scrapers get, read by promtool, by Prometheus itself, and by the strict reader of the tests."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.backends.prometheus import Prometheus
from tests.support.exposition_reading import samples
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

_AWKWARD = {"room": 'the "blue"\\ \n one', "script": "日本\u2028\u202e", "empty": "", "le_": "x", "a": "{}, =#"}

_ENTRIES = [
    {"name": "plain", "signal_type": "metrics", "generator": {"type": "constant", "value": 1.5}, "labels": _AWKWARD},
    {"name": "steps_total", "signal_type": "metrics", "generator": {"type": "step", "step_size": 1}},
    {
        "name": "rotating",
        "signal_type": "metrics",
        "generator": {"type": "constant", "value": 2},
        "dynamic_labels": [{"key": "pod", "prefix": "p", "cardinality": 3}],
    },
    {
        "name": "latency_seconds",
        "signal_type": "histogram",
        "distribution": {"type": "exponential", "rate": 10},
        "buckets": [0.05, 0.5, 2, 10, 100],
        "labels": _AWKWARD,
        "dynamic_labels": [{"key": "pod", "prefix": "p", "cardinality": 2}],
    },
    {
        "name": "size_bytes",
        "signal_type": "summary",
        "distribution": {"type": "normal", "mean": 10, "stddev": 1},
        "labels": {"zone": "b", "area": "c"},
    },
    {
        "name": "application",
        "signal_type": "logs",
        "log_generator": {"type": "template", "templates": [{"message": "hello"}]},
        "encoder": {"type": "json_lines"},
    },
]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, dict[str, str]]]:
    """A daemon with a scenario of every kind, each of which has emitted; with their ids by name."""
    server = LiveServer(tmp_path_factory.mktemp("scrapes"))
    launched = server.launch(
        {"version": 2, "scenarios": [{"rate": 50, "sink": {"type": "memory"}, **entry} for entry in _ENTRIES]}
    )
    for one in launched:
        server.wait_for_events(one["id"], 6)
    yield server, {one["name"]: one["id"] for one in launched}
    assert server.stop() == 0
    server.close()


def _complaints(text: str) -> str:
    """What `promtool check metrics` has to say."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=30, check=False
    )
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("path", ["/metrics", "/metrics?own=1", "/scenarios/metrics"])
def test_promtool_finds_nothing(scraped: tuple[LiveServer, dict[str, str]], path: str) -> None:
    """Neither in what the daemon says about itself nor in all scenarios together."""
    text = scraped[0].get(path).text
    assert text
    assert _complaints(text) == ""


def test_no_series_is_there_twice(shared_server: LiveServer) -> None:
    """Of scenarios that emit the same series, the one launched last is shown, with all lines of its histogram."""
    entry = {"rate": 50, "sink": {"type": "memory"}, **_ENTRIES[3]}
    for buckets in ([1, 2, 3], [1, 2, 4]):
        (last,) = shared_server.launch({"version": 2, "scenarios": [entry | {"buckets": buckets}]})
        shared_server.wait_for_events(last["id"], 6)
    shown = shared_server.get("/scenarios/metrics").text
    series = [line.rpartition(" ")[0] for line in shown.split("\n") if line and line[0] != "#"]
    assert len(series) == len(set(series)) == 2 * 6
    assert 'le="3' not in shown


@pytest.mark.parametrize("name", [str(entry["name"]) for entry in _ENTRIES if entry["signal_type"] != "logs"])
def test_promtool_reads_one_scenario(scraped: tuple[LiveServer, dict[str, str]], name: str) -> None:
    """The newest values are clean; of drained samples, which have no header lines, it misses the help text alone."""
    server, ids = scraped
    assert _complaints(server.get(f"/scenarios/{ids[name]}/metrics?mode=snapshot").text) == ""
    drained = server.get(f"/scenarios/{ids[name]}/metrics?limit=1000").text
    assert drained
    assert [line for line in _complaints(drained).splitlines() if not line.endswith(" no help text")] == []


@pytest.mark.parametrize("path", ["/metrics", "/metrics?own=1", "/scenarios/metrics"])
def test_the_python_client_reads_every_line(scraped: tuple[LiveServer, dict[str, str]], path: str) -> None:
    """Each line is a sample of a family, and no family comes twice."""
    text = scraped[0].get(path).text
    families = list(text_string_to_metric_families(text))
    assert sum(len(family.samples) for family in families) == _lines(text)
    assert len({family.name for family in families}) == len(families)


@pytest.mark.parametrize("query", ["mode=snapshot", "limit=1000"])
@pytest.mark.parametrize("entry", _ENTRIES[:2], ids=lambda entry: str(entry["name"]))
def test_the_python_client_reads_labels_as_posted(
    scraped: tuple[LiveServer, dict[str, str]], entry: dict[str, object], query: str
) -> None:
    """The newest values and the drained samples, with quotes, line breaks and other scripts in their labels."""
    server, ids = scraped
    path = f"/scenarios/{ids[str(entry['name'])]}/metrics?{query}"
    # Another test may have drained it a moment ago.
    text = wait_until(lambda: server.get(path).text, "samples to read")
    read = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len(read) == _lines(text)
    assert all(sample.labels == entry.get("labels", {}) for sample in read)


def _lines(text: str) -> int:
    """How many samples there are."""
    return sum(bool(line) and not line.startswith("#") for line in text.split("\n"))


def test_bounds_stand_in_increasing_order(scraped: tuple[LiveServer, dict[str, str]]) -> None:
    """Buckets of one label set stand together, from the lowest bound to infinity, and their counts never fall."""
    text = scraped[0].get("/scenarios/metrics").text
    assert samples(text)
    found = re.findall(r'latency_seconds_bucket\{.*,le="([^"]+)".*pod="(p\d)".*\} (\d+)', text)
    assert [(pod, bound) for bound, pod, _ in found] == [
        (pod, bound) for pod in ("p0", "p1") for bound in ("0.05", "0.5", "2", "10", "100", "+Inf")
    ]
    for pod in ("p0", "p1"):
        counts = [int(count) for _, of, count in found if of == pod]
        assert counts == sorted(counts)
    quantiles = [float(text) for text in re.findall(r'size_bytes\{.*quantile="([^"]+)"', text)]
    assert quantiles == sorted(quantiles)
    assert len(quantiles) > 1


def test_prometheus_reads_every_kind(scraped: tuple[LiveServer, dict[str, str]], tmp_path: Path) -> None:
    """A real one scrapes all scenarios and the daemon without an error, and has the labels as they were written."""
    server, _ = scraped
    target = [{"targets": [f"127.0.0.1:{server.port}"]}]
    prometheus = Prometheus(
        tmp_path, {"job_name": "all", "metrics_path": "/scenarios/metrics", "static_configs": target}
    )
    try:
        found = wait_until(lambda: prometheus.query("latency_seconds_bucket"), "the histogram is there", 30)
        assert {series["metric"]["room"] for series in found} == {_AWKWARD["room"]}
        assert {series["metric"]["script"] for series in found} == {_AWKWARD["script"]}
        assert len(found) == 2 * 6
        wait_until(lambda: prometheus.query('up{job="all"}')[0]["value"][1] == "1", "a scrape that succeeds")
        assert len(prometheus.query("plain")) == 1
    finally:
        prometheus.stop()


@pytest.mark.parametrize("signal", ["metrics", "histogram", "summary"])
@pytest.mark.parametrize("label", ["__name__", "__address__", "le", "quantile"])
def test_a_label_that_would_spoil_the_scrape_is_refused(
    scraped: tuple[LiveServer, dict[str, str]], signal: str, label: str
) -> None:
    """Static or rotating; where it means nothing to readers it stays legal."""
    server, _ = scraped
    kind = {"generator": {"type": "constant", "value": 1}}
    if signal != "metrics":
        kind = {"distribution": {"type": "normal", "mean": 1, "stddev": 0.1}}
    entry = {"name": "spoiler", "signal_type": signal, "rate": 1, "duration": "1s", "sink": {"type": "memory"}, **kind}
    spoils = label.startswith("__") or (signal, label) in {("histogram", "le"), ("summary", "quantile")}
    for labels in ({"labels": {label: "x"}}, {"dynamic_labels": [{"key": label, "prefix": "x", "cardinality": 2}]}):
        answer = server.post({"version": 2, "scenarios": [entry | labels]})
        assert answer.status_code == (400 if spoils else 201), answer.text
        if not spoils:
            assert server.delete(f"/scenarios/{answer.json()['id']}").status_code == 200


def test_a_scrape_that_would_take_all_memory_is_refused(shared_server: LiveServer) -> None:
    """Before it is made, with what can be asked for instead; what is small enough is answered as ever."""
    common = {"signal_type": "metrics", "rate": 3000, "sink": {"type": "memory"}}
    label = {"key": "session", "prefix": "x" * 60_000, "cardinality": 3000}
    long = {"name": "long", "generator": {"type": "constant", "value": 1}, "dynamic_labels": [label]}
    short = {"name": "short", "generator": {"type": "constant", "value": 2}, "labels": {"kind": "short"}, "rate": 1}
    body = {"version": 2, "scenarios": [common | long, common | short]}
    large, small = (launched["id"] for launched in shared_server.launch(body))
    shared_server.wait_for_events(large, 3000)
    shared_server.wait_for_events(small, 1)
    for path, instead in (
        (f"/scenarios/{large}/metrics?mode=snapshot", "`mode=recent` has the newest samples"),
        ("/scenarios/metrics", "select scenarios by `label` or `include_state`"),
    ):
        refused = shared_server.get(path)
        assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")
        assert refused.json()["detail"] == (
            "the newest values of all series would take up to 171 MiB, and an answer has at most 128 MiB: " + instead
        )
    assert samples(shared_server.get("/scenarios/metrics?label=kind:short").text) == {'short{kind="short"}': 2.0}
    assert shared_server.get(f"/scenarios/{large}/metrics?mode=recent&limit=3").text.count("\n") == 3
    for scenario_id in (large, small):
        shared_server.delete(f"/scenarios/{scenario_id}")
