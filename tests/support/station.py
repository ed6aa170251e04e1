"""A worker's waiting in the test's own process: sinks against real destinations, without a worker around them."""

import multiprocessing
import os
import time
from contextlib import ExitStack
from typing import Self, TypeVar

from common.board import Board
from common.clock import Clock, SystemClock
from common.messages import Event, Stop
from common.plan import EntryPlan
from common.specs import SinkSpec
from common.wire import receive_event, send
from tests.support.plans import entry_plan
from worker import sinks
from worker.control.control import Control
from worker.control.waiting import Waiter
from worker.gates.links import Links
from worker.sinks import RequestSink, Sink
from worker.sinks.context import SinkContext

AnySink = TypeVar("AnySink", bound=Sink | RequestSink)


class Station:
    """A worker's control over a real pipe, in this process, and sinks that wait through it.

    Its end closes every sink that it has made.

    Attributes:
        doubts: how many events sinks have called in doubt, each time.
        ending: what is closed at the end, the newest first.
    """

    def __init__(self) -> None:
        self.ending = ExitStack()
        self.doubts: list[int] = []
        self.ours, self._theirs = multiprocessing.Pipe()
        self._alive, self._parent = os.pipe()
        self.links = links_of_a_worker()
        self.process = Control(self._theirs, self._alive, SystemClock())
        for descriptor in (self._parent, self._alive):
            self.ending.callback(os.close, descriptor)
        self.ending.callback(self.process.close)
        self.control = self.ending.enter_context(self.process.entry("a", self.links))
        self.ending.callback(self._theirs.close)
        self.ending.callback(self.ours.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.close()

    def sink(self, spec: SinkSpec) -> Sink:
        context = SinkContext(
            waiter=self.control,
            clock=SystemClock(),
            lock_descriptor=-1,
            plan=entry_plan(sink=spec),
            doubt=self.doubts.append,
        )
        return self._made(sinks.BUILDERS[type(spec)](spec, context))

    def request_sink(self, plan: EntryPlan) -> RequestSink:
        return self._made(request_sink(plan, self.control, SystemClock()))

    def stop(self, window_secs: float) -> None:
        send(self.ours, Stop(deadline_ns=time.monotonic_ns() + int(window_secs * 1e9)))

    def events(self) -> list[Event]:
        """What the worker has sent up."""
        events = []
        while self.ours.poll():
            events.append(receive_event(self.ours))
        return events

    def _made(self, sink: AnySink) -> AnySink:
        self.ending.callback(sink.close)
        return sink


def links_of_a_worker() -> Links:
    """Return the links of a worker without any, on a board of its own."""
    board = Board(1)
    return Links(board.descriptor, 0)


def request_sink(plan: EntryPlan, waiter: Waiter, clock: Clock) -> RequestSink:
    """Return the unopened sink of `plan`, which must be one that sends requests."""
    context = SinkContext(waiter=waiter, clock=clock, lock_descriptor=-1, plan=plan)
    return sinks.REQUESTERS[type(plan.sink)](plan.sink, context)
