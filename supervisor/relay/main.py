"""The relay's process: arguments, logging, exit code.

Source: docs/relay.md, "As a service".
"""

import argparse
import logging
import resource
import signal
import sys
from typing import Final

from common.errors import StartupError
from common.logs import setup_logging
from supervisor.relay.config.directories import LockHeldError
from supervisor.relay.config.reader import ConfigError, client_faults, load
from supervisor.relay.config.records import Config
from supervisor.relay.service import Relay, log_faults

logger = logging.getLogger(__name__)

EXIT_FAULT: Final = 1
EXIT_CONFIG: Final = 2
EXIT_LOCKED: Final = 3
_LOG_CLOSE_SECS: Final = 1.0
_IGNORED_SIGNALS: Final = (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def main(arguments: argparse.Namespace) -> int:
    """Run the relay as `sondad relay` with what its parser read.

    Returns:
        The exit code: 0 stopped, 1 runtime fault, 2 usage or configuration, 3 lock held.
    """
    try:
        config = load(arguments.config)
    except ConfigError as exc:
        _print(exc.faults)
        return EXIT_CONFIG
    if arguments.check_config:
        faults = client_faults(config)
        _print([*(f"{config.path}: warning: {warning}" for warning in config.warnings), *faults, _summary(config)])
        return EXIT_CONFIG if faults else 0
    return run(config, as_json=arguments.log_format == "json")


def run(config: Config, *, as_json: bool = False) -> int:
    """Run the relay until a signal stops it; returns the exit code as `main`."""
    writer = setup_logging("sondad", "debug")
    writer.as_json = as_json
    logging.getLogger().setLevel(config.relay.log_level.upper())
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        _raise_descriptor_limit()
        log_faults(config)
        return Relay(config, writer).run()
    except LockHeldError as exc:
        logger.error("%s", exc)  # noqa: TRY400 - the message is the whole story
        return EXIT_LOCKED
    except StartupError as exc:
        logger.error("%s", exc)  # noqa: TRY400
        return EXIT_FAULT
    except Exception:
        logger.exception("the relay ends: unexpected fault")
        return EXIT_FAULT
    finally:
        writer.close(_LOG_CLOSE_SECS)


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _summary(config: Config) -> str:
    checks = sum(len(client.checks) for client in config.clients.values())
    parents = int(config.upstream is not None)
    return (
        f"{config.path}: relay {config.relay.id}; clients: {len(config.clients)}, checks: {checks}, parents: {parents}"
    )


def _print(lines: list[str]) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
