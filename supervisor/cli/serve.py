"""`sondad serve`, also installed as `sonda-server`: the process entry of the control plane."""

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.errors import DirectoryTakenError, FlagFileError, StartupError, os_error_text
from common.logs import LineWriter, is_filter, setup_logging, show
from supervisor.host.limits import require_address_space

if TYPE_CHECKING:
    from supervisor.settings import Settings

logger = logging.getLogger(__name__)

OK, FAILED, MISUSED, TAKEN = 0, 1, 2, 3
_LAST_LINES_SECS = 1.0
_ROLE = "sonda_server"


def serve(program: str, arguments: Sequence[str], *, with_relay: bool = False) -> int:
    """Run the control plane until a signal; returns the exit code.

    Args:
        program: name shown in the help.
        arguments: without the program's name.
        with_relay: whether a relay may be asked for.

    Raises:
        SystemExit: code 2 for a wrong argument.
    """
    _open_standard_descriptors()
    logs = setup_logging(_ROLE)
    levels = os.environ.get("RUST_LOG", "")
    if levels and not is_filter(levels):
        logs.put(
            f"Error: RUST_LOG={levels}: expected a level such as info, or TARGET=LEVEL,…\n".encode(errors="replace")
        )
        logs.close(_LAST_LINES_SECS)
        return MISUSED
    try:
        # Before anything is imported that takes addresses, and aborts where there are none.
        require_address_space()
        from supervisor.settings import parse_settings

        settings = parse_settings(program, arguments, os.environ, with_relay=with_relay)
        logs.as_json = settings.log_as_json
        show(_ROLE, settings.log_filter, logs)
        return _run(settings, logs)
    except FlagFileError as exc:
        logs.put("".join(f"{fault}\n" for fault in exc.faults).encode(errors="replace"))
        logs.close(_LAST_LINES_SECS)
        return MISUSED
    except StartupError as exc:
        logs.put(f"Error: {exc}\n".encode(errors="replace"))
        if isinstance(exc, DirectoryTakenError):
            logs.close(_LAST_LINES_SECS)
            return TAKEN
    except (MemoryError, OSError) as exc:
        reason = os_error_text(exc) if isinstance(exc, OSError) else "out of memory"
        logs.put(f"Error: the machine does not give what is needed: {reason}; see ulimit -a\n".encode(errors="replace"))
    except Exception as exc:
        # All that Python tells of a refused thread.
        if str(exc) == "can't start new thread":
            limit = "the limit of processes (pids.max of the control group, TasksMax=, ulimit -u)"
            logs.put(f"Error: the machine does not give a thread: {limit} is too low\n".encode())
        else:
            logger.exception("the control plane ends: unexpected error")
    logs.close(_LAST_LINES_SECS)
    return FAILED


def _run(settings: "Settings", logs: LineWriter) -> int:
    # Imported here, so that wrong arguments, help and version answer at once.
    from supervisor.flags.file import exposed_secret
    from supervisor.host.allocator import return_large_blocks
    from supervisor.host.interpreter import collect_from_now_on
    from supervisor.service import Service

    admin_path = settings.relay_admin
    if settings.relay_config is not None:
        from supervisor.relay.config.reader import ConfigError, load

        try:
            admin_path = load(settings.relay_config).relay.admin.path
        except ConfigError as exc:
            logs.put("".join(f"{fault}\n" for fault in exc.faults).encode(errors="replace"))
            logs.close(_LAST_LINES_SECS)
            return MISUSED
    if settings.config_file is not None and (warning := exposed_secret(settings.config_file)) is not None:
        logger.warning("%s", warning)
    return_large_blocks()
    collect_from_now_on()
    service = Service(settings, logs, admin_path)
    service.run()
    logs.close(service.last_lines_secs())
    return OK


def _open_standard_descriptors() -> None:
    # A closed descriptor 0, 1 or 2 would be handed out to the next socket, which stdout sinks then write to.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
