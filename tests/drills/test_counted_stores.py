"""200 000 events to real stores behind a bad network, restarted meanwhile: what they hold is what is counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.plan import EntryPlan, RotatingLabel
from common.specs import (
    HttpPush,
    JsonLines,
    LogTemplate,
    Loki,
    OtlpEncoder,
    OtlpHttp,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    Retry,
    Step,
    Template,
)
from tests.support.backends.prometheus import Prometheus
from tests.support.backends.victoria_logs import VictoriaLogs
from tests.support.backends.victoria_metrics import VictoriaMetrics
from tests.support.faulty_proxy import FaultyProxy
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.worker_process import worker_processes

EVENTS = 200_000
PER_REQUEST = 500
# Two milliseconds between the samples of a series: stores tell them apart.
RATE = 100_000.0
ROTATING = (RotatingLabel(key="host", cardinality=200, prefix="h"),)
PATIENT = Retry(max_attempts=200, initial_backoff="10ms", max_backoff="200ms")
HUNG = 150
"""Number of the chunk behind which a connection is silent, until the sink waits no longer."""


@dataclass(frozen=True)
class Store:
    """A real store, and how events get there.

    Attributes:
        name: of the store and the way.
        start: starts it in a directory, with what that holds.
        sink: the sink for the URL of its root.
        encoder: of the entry.
        ticks: returns the ticks it holds, each copy; the second argument is the instant of the first one.
        logs: whether it is a store of logs.
    """

    name: str
    start: Callable[[Path], Any]
    sink: Callable[..., Any]
    encoder: Any
    ticks: Callable[[Any, int], list[int]]
    logs: bool = False

    def entry(self, url: str, anchor_ns: int, retry: Retry | None) -> EntryPlan:
        return entry_plan(
            name="m",
            signal_type="logs" if self.logs else "metrics",
            rate=RATE,
            anchor_ns=anchor_ns,
            generator=LogTemplate(templates=(Template(message="x"),)) if self.logs else Step(step_size=1.0),
            dynamic_labels=ROTATING,
            encoder=self.encoder,
            sink=self.sink(url, max_in_flight=4, max_buffer_age="0s", retry=retry),
        )


def _prometheus_ticks(server: Any, _anchor_ns: int) -> list[int]:
    return [int(float(value)) for series in server.query("m[30m]") for _, value in series["values"]]


def _metrics_ticks(server: Any, _anchor_ns: int) -> list[int]:
    return [int(value) for series in server.series("m") for value in series["values"]]


def _logs_ticks(server: Any, anchor_ns: int) -> list[int]:
    return [round((entry.time_ns - anchor_ns) * RATE / 1e9) for entry in server.entries()]


def _remote_write(url: str, **fields: Any) -> RemoteWriteSink:
    return RemoteWriteSink(url=f"{url}/api/v1/write", batch_size=PER_REQUEST, **fields)


def _import(url: str, **fields: Any) -> HttpPush:
    return HttpPush(url=f"{url}/api/v1/import/prometheus", batch_size=PER_REQUEST * 30, **fields)


def _loki(url: str, **fields: Any) -> Loki:
    return Loki(url=f"{url}/insert", batch_size=PER_REQUEST, **fields)


def _otlp(url: str, **fields: Any) -> OtlpHttp:
    return OtlpHttp(url=f"{url}/insert/opentelemetry", signal_type="logs", batch_size=PER_REQUEST, **fields)


STORES = (
    Store("prometheus", Prometheus, _remote_write, RemoteWriteEncoder(), _prometheus_ticks),
    Store("victoria-metrics", VictoriaMetrics, _remote_write, RemoteWriteEncoder(), _metrics_ticks),
    Store("victoria-metrics, text", VictoriaMetrics, _import, PrometheusText(), _metrics_ticks),
    Store("victoria-logs", VictoriaLogs, _loki, JsonLines(), _logs_ticks, logs=True),
    Store("victoria-logs, otlp", VictoriaLogs, _otlp, OtlpEncoder(), _logs_ticks, logs=True),
)


def port_of(server: Any) -> int:
    return int(server.url.removesuffix("/insert").rpartition(":")[2])


@pytest.mark.parametrize("retry", [None, PATIENT], ids=["once", "again"])
@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_a_store_holds_what_was_acknowledged(store: Store, retry: Retry | None, tmp_path: Path) -> None:
    """Connections are cut before, within and after requests, one goes silent, the store is stopped and comes back."""
    directory = tmp_path / "store"
    directory.mkdir()
    anchor_ns = time.time_ns() // 10**9 * 10**9
    server = store.start(directory)
    try:
        with (
            FaultyProxy(port_of(server), 0.05, seed=len(store.name), hangs=frozenset({HUNG})) as proxy,
            worker_processes() as (worker,),
        ):
            worker.start(store.entry(f"http://127.0.0.1:{proxy.port}", anchor_ns, retry))
            wait_until(lambda: worker.counters().total_events >= EVENTS // 2, "half of the events", 180)
            server.stop()
            server = store.start(directory)
            proxy.upstream = port_of(server)
            wait_until(lambda: worker.counters().total_events >= EVENTS, f"{EVENTS} events", 180)
            # What is left is sent in the seconds that a stop has.
            proxy.healthy = True
            worker.stop()
            assert worker.finished().reason == "stopped"
            assert worker.ended() == 0
            counters = worker.counters()
            assert sum(proxy.met.values()) > 5
            assert proxy.met["hang"] == 1
        settled = counters.acknowledged_events + counters.rejected_events + counters.lost_events
        assert settled == counters.total_events
        assert counters.rejected_events == 0
        held = lambda: set(store.ticks(server, anchor_ns))  # noqa: E731
        wait_until(lambda: len(held()) >= counters.acknowledged_events, "all is stored", 60)
        ticks = held()
        assert ticks <= set(range(counters.total_events))
        assert len(ticks) <= counters.acknowledged_events + counters.in_doubt_events
        if retry is not None:
            assert ticks == set(range(counters.total_events))
            # Prometheus refuses a sample that it has once a newer one of its series is there.
            assert counters.lost_events == (counters.in_doubt_events if store.name == "prometheus" else 0)
        else:
            assert counters.lost_events >= counters.in_doubt_events > 0
    finally:
        server.stop()
