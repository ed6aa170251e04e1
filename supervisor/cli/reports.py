"""What a command found, in a file for machines: JSON or JUnit, by the ending of its name.

Source: docs/command-line.md, "Reports".
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from common.errors import os_error_text
from common.plan import SegmentOf
from supervisor.cli.failures import CommandError


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that was to hold."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class CommandReport:
    """All that a command found.

    Attributes:
        error: what kept it from finding more; None when nothing did.
        segment: what a segment has of the scenario; None for the whole.
        hosts: what each host has made; None for a run on this machine.
    """

    command: str
    scenario: str
    elapsed_secs: float
    entries: Sequence[dict[str, Any]]
    checks: Sequence[Requirement]
    error: str | None
    segment: SegmentOf | None = None
    hosts: Sequence[dict[str, Any]] | None = None

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return self.error is None and all(check.passed for check in self.checks)


def write_report(path: str, report: CommandReport) -> None:
    """Write a report.

    Raises:
        CommandError: it cannot be written.
    """
    text = _json(report) if path.endswith(".json") else _junit(report)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"cannot write the report {path}: {os_error_text(exc)}") from exc


def _json(report: CommandReport) -> str:
    shown = {
        "command": report.command,
        "scenario": report.scenario,
        "passed": report.passed,
        "elapsed_secs": report.elapsed_secs,
        "error": report.error,
        "segment": msgspec.to_builtins(report.segment),
        "entries": list(report.entries),
        "checks": [asdict(check) for check in report.checks],
        **({} if report.hosts is None else {"hosts": list(report.hosts)}),
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _junit(report: CommandReport) -> str:
    failures = sum(not check.passed for check in report.checks)
    suite = ElementTree.Element(
        "testsuite",
        name=_xml_text(f"{report.command} {report.scenario}"),
        tests=str(len(report.checks) + 1),
        failures=str(failures),
        errors=str(int(report.error is not None)),
        time=f"{report.elapsed_secs:.3f}",
    )
    run = ElementTree.SubElement(suite, "testcase", name=report.command, classname=_xml_text(report.scenario))
    if report.error is not None:
        ElementTree.SubElement(run, "error", message=_xml_text(report.error))
    for check in report.checks:
        case = ElementTree.SubElement(
            suite, "testcase", name=_xml_text(check.name), classname=_xml_text(report.scenario)
        )
        if not check.passed:
            ElementTree.SubElement(case, "failure", message=_xml_text(check.text))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _xml_text(text: str) -> str:
    # XML has no way to write control characters.
    return "".join(character if character.isprintable() else " " for character in text)
