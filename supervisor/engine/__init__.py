"""The engine: from a compiled plan to running workers, their figures and their ends. Needs no server.

Runs in the process that owns the workers, on the thread that makes the `Engine`; other threads ask through
`control_plane.py`, which it implements. Imports `common` and `supervisor.host`, and through `spawn.py`, the one door,
the workers' entry point.

Read first: `engine.py`, `fleet.py` (whose worker is it), `launch.py`, `pool.py`, `workers.py`, `spawn.py`.
"""

from supervisor.engine.engine import Engine

__all__ = ["Engine"]
