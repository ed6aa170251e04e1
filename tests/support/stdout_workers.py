"""Runs worker processes whose stdout is this script's; tells on stderr what became of them.

Usage: python -m tests.support.stdout_workers COUNT RATE SECONDS [discard]

One JSON object a worker: total_events, bytes_emitted, errors, last_sink_error, delivered_at, stdout_closed (how many
such events it sent).
"""

import json
import sys

from common.messages import StdoutClosed, StdoutDiscards
from common.plan import RotatingLabel
from common.specs import Stdout, Step
from tests.support.plans import entry_plan
from tests.support.worker_process import worker_processes


def main() -> None:
    count, rate, secs = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    # Every tenth line is longer than a pipe takes at once.
    label = RotatingLabel(key="l", cardinality=10, prefix="", values=("long" * 2000, *"abcdefghi"))
    with worker_processes(count) as workers:
        for number, worker in enumerate(workers):
            if "discard" in sys.argv:
                worker.send(StdoutDiscards())
            worker.start(
                entry_plan(
                    name=f"w{number}",
                    rate=rate,
                    duration_ns=int(secs * 1e9),
                    generator=Step(step_size=1),
                    dynamic_labels=(label,),
                    sink=Stdout(),
                )
            )
        for worker in workers:
            worker.finished(60)
            counters = worker.counters()
            print(
                json.dumps(
                    {
                        "total_events": counters.total_events,
                        "bytes_emitted": counters.bytes_emitted,
                        "errors": counters.errors,
                        "last_sink_error": counters.last_sink_error,
                        "delivered_at": counters.last_successful_write_at,
                        "stdout_closed": sum(isinstance(event, StdoutClosed) for event in worker.events),
                    }
                ),
                file=sys.stderr,
                flush=True,
            )


if __name__ == "__main__":
    main()
