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
from common.checkpoints import CheckpointWriter
from common.clock import Clock, SystemClock
from common.errors import SondadError, WireError
from common.forking import SharedFiles
from common.messages import Emit, Emitted, Fault, Finished, Prepared, Preview, Previewed, Resumed, Run
from worker.control.control import Control
from worker.control.entry import EntryControl
from worker.control.lanes import Lanes
from worker.control.place import SharedPlace
from worker.emit import emit
from worker.gates.links import Links
from worker.runner import Runner
from worker.sinks.context import SinkContext
from worker.ticks.resuming import Missed

HELD_NS: Final = 10_000_000
"""How late a run shows what it has fired, when it fires more often.

PERF: a wake-up finds cold caches and costs what it touches, of which showing is a third.
"""

_MAX_TRACEBACK_CHARS: Final = 16_384
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Seat:
    """What an entry has of the worker that it runs in.

    Attributes:
        board: the header and the entry's row.
        links: where the entry hangs in gates.
        row: the entry's row.
        files: what all workers have open; a record lock on the board's serializes their writes to stdout.
        place: where the entry waits; None for a worker that has one entry at a time.
        clock: both clocks.
    """

    board: WorkerBoard
    links: Links
    row: int
    files: SharedFiles
    place: SharedPlace | None = None
    clock: Clock = _CLOCK


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
        context = SinkContext(entry, SystemClock(), seat.files.board, command.entry)
        try:
            return Emitted(latency_ns=emit(context))
        except Exception as exc:  # noqa: BLE001 - nothing may leave without a reason
            return Finished(reason="failed", fault=fault_of(exc))


def foresee(command: Preview) -> Previewed | Finished:
    """Return what entries would emit."""
    # Imported here: few workers are asked.
    from worker.preview import preview

    try:
        return Previewed(curves=preview(command, _CLOCK))
    except Exception as exc:  # noqa: BLE001 - nothing may leave without a reason
        return Finished(reason="failed", fault=fault_of(exc))


def _run(command: Run, control: Control, entry: EntryControl, seat: Seat) -> Finished:
    plan, clock = command.entry, seat.clock
    lanes = None if seat.place is None else Lanes(entry, seat.place, clock)
    context = SinkContext(entry, clock, seat.files.board, plan, lanes, command.resume)

    def report(missed: Missed) -> None:
        control.send(
            Resumed(
                scenario_id=command.scenario_id,
                from_ns=missed.from_ns,
                until_ns=missed.until_ns,
                missed_ticks=missed.ticks,
            )
        )

    runner = Runner(
        plan,
        worker.generators.build(plan, entry.stop_asked),
        worker.encoders.build(plan),
        partial(worker.delivery.build, context),
        seat.board,
        seat.links,
        entry,
        clock,
        CheckpointWriter(seat.files.checkpoints, seat.row) if command.keeps_checkpoints else None,
        command.resume,
        report,
        # After a crash a guest goes on elsewhere from what is shown.
        0 if seat.place is not None else HELD_NS,
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
