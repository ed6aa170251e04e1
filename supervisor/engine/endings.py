"""How a worker ended, for logs, clients and counts. Pure."""

from typing import Literal

from common.messages import Fault, Finished

Ending = Literal["finished", "stopped", "killed", "crashed"]


def fault_text(finished: Finished | None) -> str | None:
    """Return what went wrong in one line; None when nothing did, or when the worker could not say."""
    if finished is None or finished.fault is None:
        return None
    return text_of(finished.fault)


def text_of(fault: Fault) -> str:
    """Return a failure as users read it: whose it was, and what happened."""
    if fault.cause != "runtime":
        return f"{fault.cause} error: {fault.message}"
    return f"internal error: {fault.message}" if fault.traceback else fault.message


def traceback_fields(finished: Finished | None) -> dict[str, str]:
    """Return the fields of a log line that show where a failure nobody expected happened."""
    if finished is None or finished.fault is None or not finished.fault.traceback:
        return {}
    return {"traceback": finished.fault.traceback}


def abnormal_end(finished: Finished | None, asked: bool) -> str | None:
    """Return why a run ended that should not have, in words; None when all is well.

    Args:
        finished: the worker's last message.
        asked: whether the worker was asked to stop.
    """
    if finished is None:
        return "ended without saying why"
    if finished.reason == "failed":
        return fault_text(finished) or "failed"
    if finished.reason == "stopped" and not asked:
        return "stopped by a signal from outside"
    return None


def ending_of(finished: Finished | None, killed: bool, exit_code: int | None) -> Ending:
    """Return how a worker ended.

    Args:
        finished: its last message.
        killed: whether the supervisor had to kill it.
        exit_code: negative for a signal; None when nobody knows it, and then its last message is believed.

    Returns:
        `finished`: its run was over, also because its sink or its encoder failed; `stopped`: on request; `killed`: by a
        signal; `crashed`: it exited unexpectedly, or without a message.
    """
    if killed or (exit_code or 0) < 0:
        return "killed"
    if finished is None or exit_code or (finished.fault is not None and finished.fault.traceback):
        return "crashed"
    return "stopped" if finished.reason == "stopped" else "finished"
