"""`retune`. Source: docs/command-line.md, "A running daemon"; docs/http.md, "Change"."""

from collections.abc import Sequence
from typing import Any

import msgspec

from supervisor.cli.daemon.client import Daemon, DaemonRefusedError
from supervisor.cli.daemon.tables import print_json, print_table
from supervisor.cli.failures import FAILED, OK, CommandError
from supervisor.cli.faults import print_faults


def retune(daemon: Daemon, name_or_id: str, changes: Sequence[str], *, as_json: bool) -> int:
    """Change the scenarios of a name or id.

    Args:
        daemon: whose they are.
        name_or_id: theirs.
        changes: each a field, its parts separated by points, and behind `=` its value as YAML.
        as_json: whether the answers are printed as they are.

    Raises:
        CommandError: a change that is none, or one that the daemon refuses; those of scenarios before hold.
    """
    patch = yaml_patch(changes)
    try:
        changed = [daemon.patch(one["id"], patch, "text/yaml") for one in daemon.matching(name_or_id)]
    except DaemonRefusedError as exc:
        if not exc.answer.get("faults"):
            raise
        # Lines and columns are those of a text that the user has not written.
        print_faults(name_or_id, [fault | {"line": None, "column": None} for fault in exc.answer["faults"]])
        return FAILED
    if as_json:
        print_json(changed)
        return OK
    rows = [(one["id"], one["name"], _text(one["tick"]), _text(one["at"])) for one in changed]
    print_table(("ID", "NAME", "TICK", "AT"), rows)
    return OK


def yaml_patch(changes: Sequence[str]) -> bytes:
    """Return changes as a YAML document.

    Raises:
        CommandError: one has no value, is no field, or is given twice.
    """
    tree: dict[str, Any] = {}
    for change in changes:
        field, equals, value = change.partition("=")
        *parents, name = field.split(".")
        if not equals or not all((*parents, name)) or "\n" in change:
            raise CommandError(f"invalid change '{change}': expected FIELD=VALUE, such as rate=20 or labels.zone=b")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise CommandError(f"invalid change '{change}': '{parent}' has a value already")
        if name in place:
            raise CommandError(f"'{field}' is changed twice")
        place[name] = value
    return "".join(_lines(tree, "")).encode()


def _lines(tree: dict[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, value in tree.items():
        key = f"{indent}{msgspec.json.encode(name).decode()}:"
        if isinstance(value, dict):
            lines += [f"{key}\n", *_lines(value, f"{indent}  ")]
        else:
            lines.append(f"{key} {value}\n")
    return lines


def _text(value: object) -> str:
    return "-" if value is None else str(value)
