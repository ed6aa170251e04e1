"""`post` and `validate`: files on their way to a daemon. Source: docs/command-line.md, "A running daemon"."""

import sys
import time
from pathlib import Path
from typing import Final

import click

from common.errors import os_error_text
from supervisor.cli.daemon.client import Daemon, Json, RefusedError
from supervisor.cli.daemon.tables import print_json, print_table
from supervisor.cli.failures import FAILED, OK, CommandError

_LEAVING_SECS: Final = 5.0
"""How long a worker with errors may take to leave until its end counts as a regular one."""

_POLL_SECS: Final = 0.25
_STDIN: Final = "-"


def post(daemon: Daemon, files: tuple[str, ...], *, wait: bool, replace: bool, as_json: bool) -> int:
    """Post files one after the other, stop at the first that is refused, and print what was launched."""
    launched: list[Json] = []
    code = OK
    for file in files:
        answer = _posted(daemon, file, replace=replace)
        if answer is None:
            code = FAILED
            break
        launched += [{**one, "file": file} for one in answer.get("scenarios", [answer])]
        for warning in answer.get("warnings", ()):
            click.echo(f"warning: {file}: {warning}", err=True)
    for one in launched:
        one.pop("warnings", None)
    if as_json:
        print_json(launched)
    elif launched:
        rows = [(one["id"], one["name"], one["state"], one["file"]) for one in launched]
        print_table(("ID", "NAME", "STATE", "FILE"), rows)
    if wait and code == OK:
        return _wait(daemon, launched)
    return code


def validate_on(daemon: Daemon, files: tuple[str, ...], *, as_json: bool) -> int:
    """Let a daemon check files without launching anything."""
    verdicts = [_verdict(daemon, file) for file in files]
    if as_json:
        print_json(verdicts)
    else:
        print_verdicts(verdicts)
    return OK if all(verdict["valid"] for verdict in verdicts) else FAILED


def print_verdicts(verdicts: list[Json]) -> None:
    """Print whether files are valid, and every fault of those that are not."""
    for verdict in verdicts:
        if verdict["valid"]:
            click.echo(f"{verdict['file']}: valid")
        else:
            print_faults(verdict["file"], verdict["error"], verdict["faults"])


def print_faults(file: str, error: str, faults: list[Json]) -> None:
    """Print every fault with its place and its hint on stderr."""
    if not faults:
        click.echo(f"{file}: {error}", err=True)
    for fault in faults:
        place = "".join(f":{fault[part]}" for part in ("line", "column") if fault.get(part))
        path = f"{fault['path']}: " if fault.get("path") else ""
        click.echo(f"{file}{place}: {path}{fault['message']}", err=True)
        if fault.get("hint"):
            click.echo(f"  hint: {fault['hint']}", err=True)


def read_file(file: str) -> bytes:
    """Return the content of a file, or of standard input for `-`.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
    except OSError as exc:
        raise CommandError(f"failed to read scenario file {file}: {os_error_text(exc)}") from exc


def _posted(daemon: Daemon, file: str, *, replace: bool) -> Json | None:
    content = read_file(file)
    try:
        try:
            return daemon.post(content, _content_type(file))
        except RefusedError as exc:
            if not replace or "conflicting_scenarios" not in exc.answer:
                raise
            for one in exc.answer["conflicting_scenarios"]:
                daemon.delete(one["id"])
            return daemon.post(content, _content_type(file))
    except RefusedError as exc:
        if exc.status not in (400, 422):
            raise
        print_faults(file, str(exc), exc.answer.get("faults", []))
        return None


def _verdict(daemon: Daemon, file: str) -> Json:
    try:
        answer = daemon.post(read_file(file), _content_type(file), "?dry_run=true")
    except RefusedError as exc:
        if exc.status not in (400, 422):
            raise
        return {"file": file, "valid": False, "error": str(exc), "faults": exc.answer.get("faults", [])}
    return {"file": file, "valid": True, **answer}


def _wait(daemon: Daemon, launched: list[Json]) -> int:
    waiting = {one["id"] for one in launched}
    code = OK
    while waiting:
        running = {one["id"]: one["state"] for one in daemon.scenarios()}
        for scenario_id in sorted(waiting):
            if running.get(scenario_id) == "finished":
                detail = _ended(daemon, scenario_id)
                reason = detail.get("exit_reason")
                stats = detail["stats"]
                click.echo(
                    f"{detail['name']}: {'finished' if reason is None else f'failed: {reason}'} | "
                    f"events: {stats['total_events']} | errors: {stats['errors']}",
                    err=True,
                )
                code = FAILED if reason is not None else code
        # One that was deleted meanwhile is over, too.
        waiting = {one for one in waiting if running.get(one, "finished") != "finished"}
        if waiting:
            time.sleep(_POLL_SECS)
    return code


def _ended(daemon: Daemon, scenario_id: str) -> Json:
    """Return the detail of a scenario that has finished.

    It shows the state a moment before the daemon has seen its worker leave, and knows the reason from then on.
    """
    deadline = time.monotonic() + _LEAVING_SECS
    while True:
        detail = daemon.detail(scenario_id)
        if "exit_reason" in detail or not detail["stats"]["errors"] or time.monotonic() >= deadline:
            return detail
        time.sleep(_POLL_SECS)


def _content_type(file: str) -> str:
    return "application/json" if file.endswith(".json") else "application/yaml"
