"""`sondad serve`, also installed as `sonda-server`: the process entry of the control plane."""

import logging
import os
from collections.abc import Sequence

from common.errors import StartupError
from common.logs import LineWriter, setup_logging
from supervisor.settings import Settings, parse_settings

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1


def serve(program: str, arguments: Sequence[str]) -> int:
    """Run the control plane until a signal; returns the exit code.

    Raises:
        SystemExit: code 2 for a wrong argument.
    """
    _open_standard_descriptors()
    logs = setup_logging("sonda_server")
    try:
        return _run(parse_settings(program, arguments, os.environ), logs)
    except StartupError as exc:
        logs.put(f"Error: {exc}\n".encode(errors="replace"))
    except Exception:
        logger.exception("the control plane ended by an unexpected error")
    logs.close(1.0)
    return FAILED


def _run(settings: Settings, logs: LineWriter) -> int:
    # Imported here, so that wrong arguments, help and version answer at once.
    from supervisor.service import Service

    service = Service(settings, logs)
    service.run()
    logs.close(service.last_lines_secs())
    return OK


def _open_standard_descriptors() -> None:
    # A closed descriptor 0, 1 or 2 would be handed out to the next socket, which stdout sinks then write to.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
