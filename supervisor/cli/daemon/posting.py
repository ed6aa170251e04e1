"""`post` and `validate`: files on their way to a daemon. Source: docs/command-line.md, "A running daemon"."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import click

from common.errors import os_error_text
from supervisor.cli.daemon.client import Daemon, DaemonRefusedError, JsonObject
from supervisor.cli.daemon.tables import print_json, print_table
from supervisor.cli.failures import FAILED, OK, CommandError
from supervisor.cli.faults import print_faults

_POLL_SECS: Final = 0.25
_STDIN: Final = "-"


def post(
    daemon: Daemon,
    files: tuple[str, ...],
    asked: Mapping[str, object],
    *,
    wait: bool,
    replace: bool,
    as_json: bool,
) -> int:
    """Post files one after the other, stop at the first that is refused, and print what was launched.

    Args:
        daemon: where to.
        files: which.
        asked: parameters of the query; None leaves one out.
        wait: whether to wait until all have ended.
        replace: whether to stop what has the names.
        as_json: whether to print JSON.
    """
    given = {name: str(value) for name, value in asked.items() if value is not None}
    query = f"?{urlencode(given)}" if given else ""
    launched: list[JsonObject] = []
    code = OK
    for file in files:
        answer = _posted(daemon, file, query, replace=replace)
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


def print_verdicts(verdicts: list[JsonObject]) -> None:
    """Print whether files are valid, and every fault of those that are not."""
    for verdict in verdicts:
        if verdict["valid"]:
            click.echo(f"{verdict['file']}: valid")
        else:
            _print_refusal(verdict["file"], verdict["error"], verdict["faults"])


def _print_refusal(file: str, error: str, faults: list[JsonObject]) -> None:
    print_faults(file, faults or [{"message": error}])


def read_file(file: str) -> bytes:
    """Return the content of a file, or of standard input for `-`.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
    except OSError as exc:
        raise CommandError(f"failed to read scenario file {file}: {os_error_text(exc)}") from exc


def _posted(daemon: Daemon, file: str, query: str, *, replace: bool) -> JsonObject | None:
    content = read_file(file)
    try:
        try:
            return daemon.post(content, _content_type(file), query)
        except DaemonRefusedError as exc:
            if not replace or "conflicting_scenarios" not in exc.answer:
                raise
            for one in exc.answer["conflicting_scenarios"]:
                daemon.delete(one["id"])
            return daemon.post(content, _content_type(file), query)
    except DaemonRefusedError as exc:
        if exc.status not in (400, 422):
            raise
        _print_refusal(file, str(exc), exc.answer.get("faults", []))
        return None


def _verdict(daemon: Daemon, file: str) -> JsonObject:
    try:
        answer = daemon.post(read_file(file), _content_type(file), "?dry_run=true&preview_secs=0")
        answer.pop("preview", None)
    except DaemonRefusedError as exc:
        if exc.status not in (400, 422):
            raise
        return {"file": file, "valid": False, "error": str(exc), "faults": exc.answer.get("faults", [])}
    return {"file": file, "valid": True, **answer}


def _wait(daemon: Daemon, launched: list[JsonObject]) -> int:
    waiting = {one["id"] for one in launched}
    code = OK
    while waiting:
        running = {one["id"]: one["state"] for one in daemon.scenarios()}
        for scenario_id in sorted(waiting):
            if running.get(scenario_id) == "finished":
                detail = daemon.detail(scenario_id)
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


def _content_type(file: str) -> str:
    return "application/json" if file.endswith(".json") else "application/yaml"
