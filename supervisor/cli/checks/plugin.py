"""Runs a monitoring plugin and reads what it says.

Source: Monitoring Plugins Development Guidelines, sections 2.1 (output), 2.3 (exit codes) and 2.6 (performance data).
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from supervisor.cli.checks.metrics import Metric, performance_data

_STATUSES: Final = {0: "ok", 1: "warn", 2: "error"}
_UNKNOWN: Final = 3
_MAX_OUTPUT_BYTES: Final = 256 << 10
_MAX_MESSAGE_CHARS: Final = 4096
_MAX_DATA_CHARS: Final = 16 << 10
_READ_BYTES: Final = 64 << 10
_GRACE_SECS: Final = 1.0


class PluginOutcome(NamedTuple):
    """What a plugin found out."""

    status: str
    message: str
    metrics: list[Metric]


def run_plugin(arguments: Sequence[str], timeout_secs: float) -> PluginOutcome:
    """Run a plugin and return its outcome; one that cannot be run, or takes too long, is an error of the check.

    Its output on stderr goes where ours goes.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0
        )
    except OSError as exc:
        return PluginOutcome("error", f"cannot run {arguments[0]}: {exc.strerror}", [])
    output = _read(process, time.monotonic() + timeout_secs)
    if output is None:
        return PluginOutcome("error", f"{arguments[0]} gave no result within {timeout_secs:g} s and was killed", [])
    return outcome_of(process.returncode, output.decode("utf-8", "replace"), arguments[0])


def outcome_of(code: int, output: str, program: str) -> PluginOutcome:
    """Return what exit code and output mean: the first line up to `|` is the message, what follows `|` is data.

    Args:
        code: exit code; negative for the signal that ended the plugin.
        output: its standard output.
        program: what to call it when it said nothing.
    """
    first, _, rest = output.partition("\n")
    message, _, data = first.partition("|")
    data += " " + rest.partition("|")[2].replace("\n", " ")
    message = message.strip().replace("\0", "")[:_MAX_MESSAGE_CHARS]
    status = _STATUSES.get(code, "error")
    if code < 0:
        message = f"{program} was ended by {signal.Signals(-code).name}: {message}".removesuffix(": ")
    elif code not in _STATUSES and code != _UNKNOWN:
        message = f"{program} ended with exit code {code}: {message}".removesuffix(": ")
    return PluginOutcome(status, message or f"{program} said nothing", performance_data(data[:_MAX_DATA_CHARS]))


def _read(process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """Read to the end and wait for it; None when that took too long, and the plugin with its children is killed."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    output = bytearray()
    try:
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                received = os.read(process.stdout.fileno(), _READ_BYTES)
                if not received:
                    process.wait(max(deadline - time.monotonic(), _GRACE_SECS))
                    return bytes(output)
                output += received[: _MAX_OUTPUT_BYTES - len(output)]
    except subprocess.TimeoutExpired:
        pass  # it closed its output and went on
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None
