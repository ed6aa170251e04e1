"""The scenarios of the catalog, started one file after the other while the control plane already serves.

A thread of its own brings each file in as a POST would, without a timeout. A file that fails leaves nothing
behind and is skipped. Source: docs/http.md, "Probes"; docs/operating.md, "Start" and "Scenarios that start with the
daemon".
"""

import logging
import threading
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from common.errors import CompileError, DecodeError, SondadError, StartupError
from common.logs import fields
from supervisor.compiler import BodyFormat
from supervisor.compiler.packs.catalog import UnlistableError, read_catalog, read_text, warn_of_broken
from supervisor.host.loop import Callback
from supervisor.intake.intake import Intake
from supervisor.settings import Settings

logger = logging.getLogger(__name__)


class Readiness(msgspec.Struct, frozen=True):
    """Whether anything is left to start or to go on; counts are files. `unresponsive`: the main loop does not turn."""

    status: Literal["not_configured", "in_progress", "finished", "failed", "unresponsive"]
    autostart_started: int = 0
    autostart_expected: int = 0


NOT_CONFIGURED: Final = Readiness("not_configured")
CONTINUING: Final = Readiness("in_progress")


def find_candidates(settings: Settings) -> list[Path] | None:
    """Return the files to start, in order of their names; None without autostart.

    Raises:
        StartupError: there is no such catalog, or it cannot be started.
    """
    directory = settings.catalog
    if directory is None:
        if settings.autostart:
            raise StartupError(
                "--autostart requires --catalog <DIR> (or SONDA_AUTOSTART requires SONDA_CATALOG): there is no "
                "scenario catalog to start from"
            )
        return None
    if not directory.is_dir():
        raise StartupError(f"--catalog {directory}: does not exist or is not a directory")
    logger.info("pack catalog enabled for POST /scenarios", extra=fields(catalog=directory))
    if not settings.autostart:
        return None
    try:
        catalog = read_catalog(directory)
    except UnlistableError as exc:
        what = {"catalog": directory, "reason": exc}
        logger.warning("autostart: catalog could not be read, starting nothing", extra=fields(**what))
        return []
    except DecodeError as exc:
        raise StartupError(f"--autostart: catalog {directory} is not startable: {exc}") from exc
    warn_of_broken(catalog)
    return [entry.path for entry in catalog.entries if entry.header.kind == "runnable"]


def reread(directory: Path | None) -> None:
    """Say what the catalog holds by now, and which of its files cannot be used; every POST reads it anew."""
    if directory is None:
        logger.info("reload: there is no catalog, nothing has changed")
        return
    try:
        catalog = read_catalog(directory)
    except SondadError as exc:
        logger.warning("reload: the catalog could not be read", extra=fields(catalog=directory, reason=exc))
        return
    warn_of_broken(catalog)
    logger.info("reload: the catalog was read", extra=fields(catalog=directory, entries=len(catalog.entries)))


class Sweep:
    """Starts files until all were tried or it is cancelled.

    Args:
        paths: the files, in order.
        intake: brings a body in.
        on_end: called in the sweep's thread, as its last act.
        continued: the origins of what is in the journal; these files are not started a second time.
    """

    def __init__(
        self, paths: Sequence[Path], intake: Intake, on_end: Callback, continued: Container[str] = frozenset()
    ) -> None:
        self._paths = paths
        self._continued = continued
        self._intake = intake
        self._on_end = on_end
        self._cancelled = threading.Event()
        self._readiness = Readiness("in_progress", 0, len(paths))
        self._thread = threading.Thread(target=self._run, name="autostart", daemon=True)

    def readiness(self) -> Readiness:
        """Return how far it is; callable from any thread."""
        return self._readiness

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Start no further file."""
        self._cancelled.set()

    def join(self, timeout_secs: float) -> None:
        """Wait for its end, `timeout_secs` at most."""
        self._thread.join(timeout_secs)

    def _run(self) -> None:
        try:
            self._sweep()
        except Exception:
            self._readiness = msgspec.structs.replace(self._readiness, status="failed")
            logger.exception("autostart: sweep ended without finishing — nothing more is started until a restart")
        self._on_end()

    def _sweep(self) -> None:
        total = len(self._paths)
        started = 0
        for tried, path in enumerate(self._paths):
            if self._cancelled.is_set():
                logger.warning(
                    "autostart: shutdown signalled, stopped after starting %d of %d runnable catalog entries",
                    *(started, total),
                    extra=fields(started=started, total=total, remaining=total - tried),
                )
                return
            started += self._starts(path)
            self._readiness = Readiness("in_progress", started, total)
        self._readiness = Readiness("finished", started, total)
        logger.info(
            "autostart: started %d of %d runnable catalog entries",
            *(started, total),
            extra=fields(started=started, total=total),
        )

    def _starts(self, path: Path) -> bool:
        """Start one file; returns whether its scenarios run. Whatever is wrong with a file ends here."""
        try:
            return self._launches(path)
        except Exception as exc:
            what = fields(origin=path, reason=exc)
            logger.warning("%s: panicked while starting, skipping catalog entry", path, exc_info=True, extra=what)
            return False

    def _launches(self, path: Path) -> bool:
        if str(path) in self._continued:
            logger.info("%s: in the journal already, not started again", path, extra=fields(origin=path))
            return True
        try:
            compiled = self._intake.compile(read_text(path).encode(), BodyFormat.YAML, is_posted=False)
        except DecodeError as exc:
            logger.warning("%s: unreadable, skipping catalog entry", path, extra=fields(origin=path, reason=exc))
            return False
        except CompileError as exc:
            what = fields(origin=path, reason=exc.detail)
            logger.warning("%s: does not compile, skipping catalog entry", path, extra=what)
            return False
        try:
            self._intake.launch(compiled, str(path), None)
        except SondadError:
            # The intake has said why.
            return False
        return True
