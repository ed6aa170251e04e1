"""What a worker says about its end, for logs and clients. Pure."""

from common.messages import Finished


def fault_text(finished: Finished | None) -> str | None:
    """Return what went wrong in one line; None when nothing did, or when the worker could not say."""
    if finished is None or finished.fault is None:
        return None
    return f"{finished.fault.kind}: {finished.fault.message}"


def traceback_fields(finished: Finished | None) -> dict[str, str]:
    """Return the fields of a log line that show where a failure nobody expected happened."""
    if finished is None or finished.fault is None or not finished.fault.traceback:
        return {}
    return {"traceback": finished.fault.traceback}
