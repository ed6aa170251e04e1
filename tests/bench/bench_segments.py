"""What segments and digests cost: dealing a million series, the ticks of a share, summing up a batch.

Run as `python tests/bench/bench_segments.py`. Processor time, of schedule, generator and encoder alone: what a share
costs for each of its own ticks, and what a digest adds to a batch.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from common.counters import Counters
from common.plan import EntryPlan, RotatingLabel
from common.segments import Segment
from common.specs import Uniform
from supervisor.compiler.planning.segments import Deal
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.digest import Digest
from worker.ticks.batch import BATCH_EVENTS, Batch
from worker.ticks.production import Production
from worker.ticks.schedule import NEVER_NS, Schedule

SECS = 1.0
SEGMENTS = 1000


def entry(cardinality: int, rate: float = 1e9) -> EntryPlan:
    labels = (RotatingLabel(key="host", cardinality=cardinality, prefix="h"),) if cardinality else ()
    return entry_plan(rate=rate, generator=Uniform(min=0, max=1, seed=3), labels={"a": "b"}, dynamic_labels=labels)


def dealing(entries: int) -> float:
    """Seconds to deal a million series of so many entries to all segments."""
    plans = [
        (msgspec.structs.replace(entry(1_000_000 // entries), id=f"e{number}"), "series") for number in range(entries)
    ]
    began = time.process_time()
    deal = Deal(plans, SEGMENTS)
    for index in range(1, SEGMENTS + 1):
        deal.parts(Segment(index, SEGMENTS))
    return time.process_time() - began


def ticks_per_sec(plan: EntryPlan) -> float:
    """Ticks of a plan, made and encoded, for each second of processor time."""
    generator, encoder = generators.build(plan), encoders.build(plan)
    production = Production(Schedule(plan, 0), generator, encoder, BATCH_EVENTS, looks_ahead=False)
    made, began = 0, time.process_time()
    while (took := time.process_time() - began) < SECS:
        events = production.take(NEVER_NS, NEVER_NS)
        assert events is not None
        made += len(events.batch)
    return made / took


def batch_us(do: Callable[[int], object], batches: int = 2000) -> float:
    began = time.process_time()
    for number in range(batches):
        do(number * BATCH_EVENTS)
    return (time.process_time() - began) / batches * 1e6


def digest_us(plan: EntryPlan) -> tuple[float, float]:
    """Microseconds a batch takes to be made and encoded, and to be summed up."""
    generator, encoder, digest, counters = generators.build(plan), encoders.build(plan), Digest(plan), Counters()
    stamps_ns = np.arange(BATCH_EVENTS, dtype=np.int64) + 1_700_000_000_000_000_000
    batches = [Batch(at, generator.values(at, BATCH_EVENTS), stamps_ns) for at in range(0, 64 * 1024, BATCH_EVENTS)]
    made = batch_us(lambda at: encoder.encode(Batch(at, generator.values(at, BATCH_EVENTS), stamps_ns)))
    return made, batch_us(lambda at: digest.add(counters, batches[at // BATCH_EVENTS % 64], 0, BATCH_EVENTS))


def main() -> None:
    for entries in (1, 500):
        print(f"a million series of {entries} entries to {SEGMENTS} segments: {dealing(entries):.2f} s (at most 5)")
    for name, cardinality, split in (("no label", 0, "ticks"), ("1 000 hosts", 1000, "series")):
        plan = entry(cardinality)
        whole = ticks_per_sec(plan)
        for count in (2, 16, 1000):
            part = Deal([(plan, split)], count).parts(Segment(1, count))[0]
            if part is not None:
                own = ticks_per_sec(msgspec.structs.replace(plan, share=part.share))
                print(
                    f"{name}, {split} in {count}: {own / 1e6:.2f} M ticks/s, whole {whole / 1e6:.2f}, {own / whole:.2f}"
                )
    for name, cardinality in (("no label", 0), ("100 hosts", 100), ("a million hosts", 10**6)):
        made, summed = digest_us(entry(cardinality))
        print(f"digest, {name}: {summed:.1f} us a batch, which takes {made:.1f} to be made: {summed / made:.0%}")


if __name__ == "__main__":
    main()
