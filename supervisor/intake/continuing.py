"""The runs that an earlier daemon has left, continued one body after the other while the control plane already serves.

Source: docs/operating.md, "Runs that outlive the daemon".
"""

import logging
import threading
from collections.abc import Callable, Sequence

from common.errors import SondadError
from common.logs import fields
from supervisor.engine.control_plane import Scenario
from supervisor.engine.keeping import InterruptedBody
from supervisor.host.loop import Callback

logger = logging.getLogger(__name__)


class Continuing:
    """Continues runs until all were tried or it is cancelled.

    Args:
        bodies: the runs, in the order of their launch.
        resume: continues one of them.
        on_end: called in a thread of its own, as its last act.
    """

    def __init__(
        self,
        bodies: Sequence[InterruptedBody],
        resume: Callable[[InterruptedBody], Sequence[Scenario]],
        on_end: Callback,
    ) -> None:
        self._bodies = bodies
        self._resume = resume
        self._on_end = on_end
        self._is_underway = bool(bodies)
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuing", daemon=True)

    @property
    def is_underway(self) -> bool:
        """Whether runs are left to try; readable from any thread."""
        return self._is_underway

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Continue no further body; what is left stays in the journal."""
        self._cancelled.set()

    def join(self, timeout_secs: float) -> None:
        """Wait for its end, `timeout_secs` at most."""
        self._thread.join(timeout_secs)

    def _run(self) -> None:
        continued = 0
        for body in self._bodies:
            if self._cancelled.is_set():
                break
            try:
                continued += len(self._resume(body))
            except SondadError as exc:
                for run, _ in body.runs:
                    shown = {"id": run.id, "name": run.entry.plan.name, "reason": exc}
                    logger.warning("a scenario of the journal cannot go on now, and stays there", extra=fields(**shown))
            except Exception:
                # A defect of ours: it must not keep the others, nor the catalog, from their start.
                ids = ",".join(run.id for run, _ in body.runs)
                logger.exception("scenarios of the journal cannot go on now, and stay there", extra=fields(ids=ids))
        if self._bodies:
            logger.info("journal: scenarios go on", extra=fields(continued=continued))
        self._is_underway = False
        self._on_end()
