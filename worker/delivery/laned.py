"""Several requests in flight: one buffer, connection and retry for each lane, and every series in one lane.

::

    Encoded ──dealt by series──► lane ► BatchBuffer ──due──► request ► answer
                             ├─► lane ► BatchBuffer ──due──► request ► answer       at the same time
                             └─► lane ► …

A lane is a connection of `batched.py`: what is sent, tried again and counted is the same, in the order of its series.
The entry goes on while requests are in flight; it waits when events are due for lanes of which each has a whole request
waiting behind the one in flight. So a lane holds two requests at most.

Source: docs/sinks.md, "Several requests at a time".
"""

from collections.abc import Callable, Iterable

from common.clock import Clock
from common.errors import SinkError
from common.plan import EntryPlan
from worker.control.lanes import Lane, Lanes
from worker.delivery.dealing import Dealing
from worker.delivery.outcomes import Outcomes
from worker.delivery.requests import Requests
from worker.delivery.retrying import Retrying
from worker.sinks import LabelledSink, RequestSink
from worker.sinks.batching import BatchBuffer
from worker.ticks.batch import Batch, Encoded


class LanedDelivery:
    """Deals batches to lanes.

    Args:
        lanes: where the lanes wait.
        sink: builds the destination of one lane, not open yet.
        retrying: builds the `retry` of one lane.
        dealing: which lane an event takes.
        count: how many lanes there are.
        outcomes: where all is counted.
        clock: for ages of the buffers, and the instants of writing.
        progressed: called after every request, however it ended.
        fails: whether the first failure ends the scenario (`on_sink_error: fail`).

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
        next_tick: the number of the first tick of which something was neither sent nor given up.
        waiting_events: how many events there are from there on.
        counted: which events of the newest batch count so far, as ranges [start, stop).
    """

    def __init__(
        self,
        lanes: Lanes,
        sink: Callable[[Lane], RequestSink],
        retrying: Callable[[Lane], Retrying],
        dealing: Dealing,
        count: int,
        outcomes: Outcomes,
        clock: Clock,
        progressed: Callable[[], None],
        *,
        fails: bool,
    ) -> None:
        self.fatal: SinkError | None = None
        self.counted: list[tuple[int, int]] = []
        self._entry = lanes.entry
        self._dealing = dealing
        self._outcomes = outcomes
        self._clock = clock
        self._progressed = progressed
        self._fails = fails
        self._taken_tick = 0
        self._lanes: list[_Sender] = []
        for _ in range(count):
            lane = lanes.add()
            built = sink(lane)
            requests = Requests(built, retrying(lane), outcomes)
            self._lanes.append(_Sender(lane, built, requests, clock, self._settled))

    @property
    def next_tick(self) -> int:  # noqa: D102
        waiting = [tick for lane in self._lanes if (tick := lane.first_tick) is not None]
        # A batch that is being dealt out is not yet taken, while lanes may have some of it.
        return min([self._taken_tick, *waiting])

    @property
    def waiting_events(self) -> int:  # noqa: D102
        return self._taken_tick - self.next_tick

    def open(self) -> None:
        """Open the sink of every lane; ages of the buffers count from here."""
        for lane in self._lanes:
            lane.begin()
        self._wait_for(lambda: all(lane.is_idle for lane in self._lanes))
        error = next((lane.error for lane in self._lanes if lane.error is not None), None)
        if error is not None:
            self._outcomes.fail(1, error, lost=0)
            self._end()
            raise error

    def deliver(self, batch: Batch, encoded: Encoded) -> list[tuple[int, int]]:
        """Buffer a batch, handing over what becomes due; all of its events count, unless the scenario has failed."""
        self.counted = []
        if self.fatal is None:
            self._feed(batch, encoded)
            # Not before: the run would go on from the first of them.
            self._outcomes.accept(encoded.events, len(encoded.payload))
            self._taken_tick = batch.first_tick + encoded.events
            self.counted = [(0, encoded.events)]
        return self.counted

    def settle(self) -> None:
        """Do nothing: answers count as they come."""

    def relabel(self, plan: EntryPlan) -> None:
        """Let requests have the labels of `plan` from now on; every series keeps its lane."""
        for lane in self._lanes:
            lane.relabel(plan)

    def close_series(self, batches: Iterable[tuple[Batch, Encoded]]) -> None:
        """Send last samples and whatever waits, each behind what its series has in flight."""
        for batch, encoded in batches:
            self._feed(batch, encoded)
        self.flush()

    def finish(self) -> None:
        """Send what is buffered, wait for all answers, and close."""
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close and leave what is buffered or in flight, after a failure that ends the scenario."""
        for lane in self._lanes:
            lane.give_up()
        self._end()
        self._outcomes.lose(sum(lane.left() for lane in self._lanes))

    def _feed(self, batch: Batch, encoded: Encoded) -> None:
        """Let every lane take its part; wait only while none of those that have some left can take more."""
        parts = [_Part(self._lanes[lane], part, some) for lane, part, some in self._dealing.deal(batch, encoded)]
        while parts:
            parts = [part for part in parts if not part.fed(self._clock)]
            if parts and self.fatal is None:
                self._wait_for(lambda: self.fatal is not None or any(part.lane.has_room for part in parts))  # noqa: B023
            if self.fatal is not None:
                for part in parts:
                    part.lane.left_behind += part.events_left
                return

    def flush(self) -> None:
        """Send what is buffered, and wait for all answers."""
        for lane in self._lanes:
            lane.flush()
        self._wait_for(lambda: self.fatal is not None or all(lane.is_idle for lane in self._lanes))

    def _wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition holds; what goes wrong in a lane goes wrong here."""
        self._entry.wait_for(lambda: is_so() or any(lane.broken is not None for lane in self._lanes))
        for lane in self._lanes:
            if lane.broken is not None:
                raise lane.broken

    def _end(self) -> None:
        """End all lanes and wait for that."""
        for lane in self._lanes:
            lane.end()
        self._entry.wait_for(lambda: all(lane.is_over for lane in self._lanes))

    def _settled(self, error: SinkError | None, lost: int) -> None:
        """Note how a request of a lane has ended."""
        if error is not None:
            self._outcomes.fail(1, error, lost=lost)
            self._outcomes.log_failure(error)
            if self._fails and self.fatal is None:
                self.fatal = error
        self._progressed()


class _Part:
    """Events of a batch on their way into the buffer of one lane."""

    def __init__(self, lane: "_Sender", batch: Batch, encoded: Encoded) -> None:
        self.lane = lane
        self._batch = batch
        self._encoded = encoded
        self._record = 0

    @property
    def events_left(self) -> int:
        """How many events have no record in the buffer yet."""
        return self._encoded.events - -(-self._record // self._encoded.records_per_event)

    def fed(self, clock: Clock) -> bool:
        """Put in what the lane has room for; return whether that was all."""
        encoded, lane = self._encoded, self.lane
        records = encoded.events * encoded.records_per_event
        while self._record < records and lane.has_room:
            now_ns, wall_ns = clock.monotonic_ns(), clock.wall_ns()
            self._record = lane.buffer.add(self._batch, encoded, self._record, now_ns, wall_ns)
            lane.send_due()
        return self._record == records


class _Sender:
    """One lane at work.

    Args:
        lane: where it waits.
        sink: its destination.
        requests: of that.
        clock: for ages of the buffer.
        settled: called with how a request has ended, and how many events that has lost.

    Attributes:
        buffer: what waits to be sent.
        left_behind: events that are lost although they were never buffered.
        is_idle: whether no request is in flight.
        is_over: whether it works no more.
        error: why its sink could not be opened.
        broken: what went wrong without being a sink's failure.
    """

    def __init__(
        self,
        lane: Lane,
        sink: RequestSink,
        requests: Requests,
        clock: Clock,
        settled: Callable[[SinkError | None, int], None],
    ) -> None:
        self.buffer = BatchBuffer(sink.batching, clock.monotonic_ns())
        self.left_behind = 0
        self.is_idle = self.is_over = True
        self.error: SinkError | None = None
        self.broken: Exception | None = None
        self._lane = lane
        self._sink = sink
        self._requests = requests
        self._clock = clock
        self._settled = settled
        self._ends = False

    def begin(self) -> None:
        """Open the sink, then wait for requests."""
        self.is_idle = self.is_over = False
        self._lane.begin(self._work)

    @property
    def has_room(self) -> bool:
        """Whether the buffer is not a whole request already."""
        return not self.buffer.is_due

    @property
    def first_tick(self) -> int | None:
        """The first tick in flight or in the buffer; None when there is none."""
        ticks = [tick for tick in (self._requests.first_tick, self.buffer.first_tick) if tick is not None]
        return min(ticks, default=None)

    def send_due(self) -> None:
        """Send the buffer if it is due and no request is in flight; otherwise it follows when that has its answer."""
        if self.buffer.is_due and self.is_idle:
            self.is_idle = False
            self._lane.wake()

    def flush(self) -> None:
        """Make the buffer due, whatever there is in it."""
        if self.buffer:
            self.buffer.is_due = True
            self.send_due()

    def relabel(self, plan: EntryPlan) -> None:
        """Let requests have the labels of `plan` from now on."""
        if isinstance(self._sink, LabelledSink):
            self._sink.relabel(plan)

    def give_up(self) -> None:
        """Wait for no answer any longer."""
        self._lane.give_up(self._clock.monotonic_ns())

    def end(self) -> None:
        """End when the request in flight has, or at once."""
        self._ends = True
        self._lane.wake()

    def left(self) -> int:
        """Return how many events were never sent; the lane is over."""
        return self.left_behind + self._requests.count(self.buffer.take(self._clock.monotonic_ns()))

    def _work(self) -> None:
        try:
            self._sink.open()
            self.buffer = BatchBuffer(self._sink.batching, self._clock.monotonic_ns())
            self._serve()
        except SinkError as exc:
            self.error = exc
        except Exception as exc:  # noqa: BLE001 - it is the entry's, and raised there
            self.broken = exc
        self._sink.close()
        self.is_idle = self.is_over = True
        self._lane.wake_entry()

    def _serve(self) -> None:
        while True:
            self.is_idle = not self.buffer.is_due
            self._lane.wake_entry()
            self._lane.wait_for(lambda: self.buffer.is_due or self._ends)
            if self._ends:
                return
            error: SinkError | None = None
            try:
                self._requests.send(self.buffer.take(self._clock.monotonic_ns()))
            except SinkError as exc:
                error = exc.without_frames()
            self._settled(error, self._requests.sending)
