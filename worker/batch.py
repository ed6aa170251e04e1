"""The batch: the unit of work between schedule, generator, encoder and sink.

A batch is a run of consecutive ticks with one set of active label spikes, so a batch of one and a batch of a thousand
are encoded by the same code, and however a run is cut into batches the bytes are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCH_EVENTS = 1024
"""Upper bound of events in a batch.

PERF: about a thousand events keep values, texts and payload in the processor's cache; ten times as many were measured
to be half as fast.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive ticks, ready to be encoded.

    Attributes:
        first_tick: number of the first tick.
        values: float64[n], one value a tick.
        stamps_ns: int64[n], scheduled instants in ns since the epoch, never decreasing.
        spike_mask: the label spikes active at all of these ticks, bit i for `cardinality_spikes[i]`.
    """

    first_tick: int
    values: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    spike_mask: int = 0

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a batch, events back to back, each a line that ends with its only line feed.

    Attributes:
        payload: all events.
        events: how many there are.
    """

    payload: bytes
    events: int

    def ends(self) -> NDArray[np.int64]:
        """Return int64[events]: the offset behind each event, for sinks that need event boundaries."""
        return np.flatnonzero(np.frombuffer(self.payload, dtype=np.uint8) == ord("\n")) + 1
