"""What the template process imports once, so that every worker shares the memory and starts in milliseconds.

No module here starts a thread or opens a connection; the control plane sets the variables that keep numpy from it.
"""

import gc
from typing import Final

import worker.main  # noqa: F401 - numpy, msgspec, generators, encoders, sinks
from worker.warming import warm_up

_LARGEST_OBJECT_BYTES: Final = 480
"""Beyond it the interpreter does not keep objects of a size together. Source: Objects/obmalloc.c, less the head."""

warm_up()

# PERF: fill the gaps that are left in pages of objects. What a worker makes lies together on new pages then, and not in
# gaps of a hundred pages that it would have to copy: 160 KiB less for each worker.
_GAPS_FILLED: Final = [bytes(size) for size in range(1, _LARGEST_OBJECT_BYTES, 16) for _ in range(100)]
# Frozen: a collection in a worker neither visits these objects nor copies their pages.
gc.freeze()
# PERF: a batch makes a thousand short-lived containers and no cycles; collecting after every 700 of them was measured
# to cost a twentieth of what a worker delivers.
gc.set_threshold(100_000, 50, 50)
