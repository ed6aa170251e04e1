"""One entry in a worker, from its plan to its last message; single events as well.

Whatever goes wrong becomes the fault of the last message: an entry that fails takes nothing along that shares its
process.
"""

import traceback
from dataclasses import dataclass
from functools import partial
from typing import Final

import worker.delivery
import worker.encoders
import worker.generators
from common.board import WorkerBoard
from common.clock import SystemClock
from common.errors import SondadError, WireError
from common.messages import Emit, Emitted, Fault, Finished, Prepared, Run
from worker.control.control import Control
from worker.control.entry import EntryControl
from worker.control.place import Place
from worker.emit import emit
from worker.gates.links import Links
from worker.runner import Runner
from worker.sinks.context import SinkContext

_MAX_TRACEBACK_CHARS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Seat:
    """What an entry has of the worker that it runs in.

    Attributes:
        board: the header and the entry's row.
        links: where the entry hangs in gates.
        lock_descriptor: see `SinkContext`.
        place: where the entry waits; None for a worker that has one entry at a time.
    """

    board: WorkerBoard
    links: Links
    lock_descriptor: int
    place: Place | None = None


def serve(command: Run, control: Control, seat: Seat) -> Finished:
    """Prepare an entry, wait for its start, run it, and return the last message.

    Raises:
        WireError: the supervisor is gone.
    """
    with control.entry(command.scenario_id, seat.links, seat.place) as entry:
        try:
            return _run(command, control, entry, seat)
        except WireError:
            raise
        except Exception as exc:  # noqa: BLE001 - nothing may leave without a reason
            return Finished(reason="failed", fault=fault_of(exc), scenario_id=command.scenario_id)


def deliver(command: Emit, control: Control, seat: Seat) -> Emitted | Finished:
    """Deliver one event and return the answer."""
    with control.entry(None, seat.links, seat.place) as entry:
        context = SinkContext(entry, SystemClock(), seat.lock_descriptor, command.entry)
        try:
            return Emitted(latency_ns=emit(context))
        except Exception as exc:  # noqa: BLE001 - nothing may leave without a reason
            return Finished(reason="failed", fault=fault_of(exc))


def _run(command: Run, control: Control, entry: EntryControl, seat: Seat) -> Finished:
    plan, clock = command.entry, SystemClock()
    context = SinkContext(waiter=entry, clock=clock, lock_descriptor=seat.lock_descriptor, plan=plan)
    runner = Runner(
        plan,
        worker.generators.build(plan, entry.stop_asked),
        worker.encoders.build(plan),
        partial(worker.delivery.build, context),
        seat.board,
        seat.links,
        entry,
        clock,
    )
    control.send(Prepared(scenario_id=command.scenario_id))
    start = entry.expect_start()
    reason = "stopped" if start is None else runner.run(start)
    return Finished(reason=reason, scenario_id=command.scenario_id)


def fault_of(error: Exception) -> Fault:
    """Return an exception as data; called where it is handled."""
    if isinstance(error, SondadError):
        return Fault(cause=error.cause, message=str(error))
    return Fault(cause="runtime", message=str(error), traceback=traceback.format_exc()[-_MAX_TRACEBACK_CHARS:])
