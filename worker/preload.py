"""What the template process imports once, so that every worker shares the memory and starts in milliseconds.

No module here starts a thread or opens a connection; the control plane sets the variables that keep numpy from it.
"""

import gc

import worker.main  # noqa: F401 - numpy, msgspec, generators, encoders, sinks

# Collected once and frozen: a collection in a worker neither visits these objects nor copies their pages.
gc.collect()
gc.freeze()
# PERF: a batch makes a thousand short-lived containers and no cycles; collecting after every 700 of them was measured
# to cost a twentieth of what a worker delivers.
gc.set_threshold(100_000, 50, 50)
