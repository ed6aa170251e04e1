"""What every sink owes, whatever its protocol: the suite runs over the tables, so every new kind is in it."""

import functools
import gc
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

import worker.delivery
import worker.encoders
from common.board import Board
from common.clock import SystemClock
from common.counters import Counters
from common.errors import SinkError
from common.plan import EntryPlan
from common.specs import OtlpEncoder, PrometheusText, RemoteWriteEncoder, Spec, kind_of
from tests.support.destinations import DESTINATIONS, Destination
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.station import Station
from worker import sinks
from worker.delivery import Delivery
from worker.sinks import otlp_export
from worker.sinks.context import SinkContext
from worker.ticks.batch import Batch

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests" / "golden" / "sinks"
TABLE = sinks.BUILDERS | sinks.REQUESTERS
STAMPS_NS = np.array([1731587696789_000_000 + 1_000_000 * tick for tick in range(3)])
BOARD = Board(1)
ENCODERS = (PrometheusText(), RemoteWriteEncoder(), OtlpEncoder())
WALL_CLOCK = re.compile(rb'"\d{19}"')
every_kind = pytest.mark.parametrize("kind", TABLE, ids=kind_of)


@pytest.fixture(autouse=True)
def any_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to OpenTelemetry says which version of the program sends it; the recorded bytes say none."""
    monkeypatch.setattr(otlp_export, "version", lambda _name: "0.0.0")


def context_of(station: Station, plan: EntryPlan) -> SinkContext:
    return SinkContext(waiter=station.control, clock=SystemClock(), lock_descriptor=BOARD.descriptor, plan=plan)


def delivery_of(station: Station, plan: EntryPlan, counters: Counters) -> Delivery:
    delivery = worker.delivery.build(context_of(station, plan), counters, lambda: None)
    station.ending.callback(delivery.abandon)
    return delivery


def plan_to(spec: Any) -> EntryPlan:
    encoder = next(one for one in ENCODERS if spec.record in (None, one.record("metrics"), one.record("logs")))
    return entry_plan(name="fan_rpm", labels={"bay": "2"}, encoder=encoder, sink=spec)


def deliver(delivery: Delivery, plan: EntryPlan) -> list[tuple[int, int]]:
    batch = Batch(0, np.array([1.0, 2.5, 3.0]), STAMPS_NS)
    return delivery.deliver(batch, worker.encoders.build(plan).encode(batch))


def descriptors(destination: Destination | None = None) -> set[str]:
    """What this process has open, by number and target, without the destination's side of connections."""
    gc.collect()  # what earlier tests dropped is closed now, not in the middle of this one
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            is_theirs = destination is not None and local_port(int(number)) in destination.ports
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if not is_theirs:
            found.add(f"{number} {target}")
    return found


def local_port(descriptor: int) -> int | None:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    with socket.socket(fileno=os.dup(descriptor)) as one:
        return one.getsockname()[1] if one.family == socket.AF_INET else None


@functools.cache
def examples() -> list[Any]:
    """Every file of the examples."""
    return [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "examples").rglob("*.yaml"))]


def sink_blocks(document: Any) -> Iterator[dict[str, Any]]:
    """Every `sink` block of a document, at any depth."""
    if isinstance(document, dict):
        if isinstance(document.get("sink"), dict):
            yield document["sink"]
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from sink_blocks(part)


@every_kind
def test_a_sink_is_built_from_its_example_without_touching_anything(kind: type[Spec], station: Station) -> None:
    """No descriptor is opened, nothing is contacted, and it can be closed unopened and twice."""
    blocks = [block for example in examples() for block in sink_blocks(example) if block["type"] == kind_of(kind)]
    assert blocks
    spec = msgspec.convert(blocks[0], kind)
    context = context_of(station, plan_to(spec))
    before = descriptors()
    sink = TABLE[kind](spec, context)
    sink.close()
    sink.close()
    assert descriptors() <= before


@every_kind
def test_what_is_delivered_arrives_as_recorded(kind: type[Spec], tmp_path: Path, station: Station) -> None:
    """Three events reach a real destination, byte by byte those of the golden file, and each is counted once."""
    with DESTINATIONS[kind](tmp_path) as destination:
        plan, counters = plan_to(destination.spec), Counters()
        delivery = delivery_of(station, plan, counters)
        delivery.open()
        assert [tick for part in deliver(delivery, plan) for tick in range(*part)] == [0, 1, 2]
        delivery.finish()
        assert (counters.total_events, counters.errors) == (3, 0)
        assert counters.last_successful_write_at > 0
        if destination.arrived is not None:
            arrived = WALL_CLOCK.sub(b'"T"', destination.arrived())
            assert arrived == (GOLDEN / f"{kind_of(kind)}.bin").read_bytes()


@every_kind
def test_labels_change_between_two_events(kind: type[Spec], tmp_path: Path, station: Station) -> None:
    """What waits is delivered first, with the labels that it had; what follows has the new ones."""
    with DESTINATIONS[kind](tmp_path) as destination:
        before = msgspec.structs.replace(plan_to(destination.spec), labels={"bay": "here-before"})
        after = msgspec.structs.replace(before, labels={"bay": "there-after"})
        counters = Counters()
        delivery = delivery_of(station, before, counters)
        delivery.open()
        delivery.deliver(batch := Batch(0, np.array([1.0]), STAMPS_NS[:1]), worker.encoders.build(before).encode(batch))
        delivery.flush()
        assert (delivery.waiting_events, counters.acknowledged_events) == (0, 1)
        delivery.relabel(after)
        delivery.deliver(
            batch := Batch(1, np.array([2.5, 3.0]), STAMPS_NS[1:]), worker.encoders.build(after).encode(batch)
        )
        delivery.finish()
        assert (counters.total_events, counters.errors) == (3, 0)
        if destination.arrived is not None:
            arrived = destination.arrived()
            assert 0 <= arrived.find(b"here-before") < arrived.find(b"there-after")
            assert arrived.rfind(b"here-before") < arrived.find(b"there-after")


@every_kind
@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_closing_releases_everything(kind: type[Spec], tmp_path: Path, station: Station, end: str) -> None:
    """After a regular end and after a failure no descriptor is left, and closing once more is harmless."""
    with DESTINATIONS[kind](tmp_path) as destination:
        plan = plan_to(destination.spec)
        before = descriptors(destination)
        delivery = delivery_of(station, plan, Counters())
        delivery.open()
        deliver(delivery, plan)
        getattr(delivery, end)()
        delivery.abandon()
        # gRPC closes behind us.
        wait_until(lambda: descriptors(destination) <= before, "nothing is left open", 20)


@every_kind
def test_a_failure_says_truthfully_whether_it_may_pass(kind: type[Spec], tmp_path: Path, station: Station) -> None:
    """Kinds with a `retry` block raise what may be tried again, the others what may not."""
    with DESTINATIONS[kind](tmp_path) as destination:
        if destination.broken is None:
            assert "retry" not in kind.__struct_fields__
            return
        plan = plan_to(destination.broken)
        delivery = delivery_of(station, plan, Counters())
        delivery.open()
        destination.breaks()
        batch = Batch(0, np.array([1.0]), STAMPS_NS[:1])
        encoded = worker.encoders.build(plan).encode(batch)
        with pytest.raises(SinkError) as caught:  # noqa: PT012 - a stream takes some events before it notices
            for _ in range(2000):
                delivery.deliver_now(batch, encoded)
                station.control.pause(0.001)
        delivery.abandon()
        assert caught.value.retriable is ("retry" in kind.__struct_fields__)
        assert str(caught.value)
