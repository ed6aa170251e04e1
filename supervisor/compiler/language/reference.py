"""The reference of scenario and pack files as a page, made of the annotations that the decoder follows.

Run as `python -m supervisor.compiler.language.reference`.
Source: docs/scenarios.md, "Entry" and "Packs".
"""

import sys
from typing import Final

from common.specs import Spec
from supervisor.compiler.language.blocks import ScenarioFile
from supervisor.compiler.language.document import VERSION
from supervisor.compiler.language.packfile import PackFile
from supervisor.reading.reference import Page

_HEAD: Final = """\
# Scenario file reference

Every field of scenario files and packs with its type, its bounds and its default, generated from the program:
`python -m supervisor.compiler.language.reference > docs/reference.md`. What the fields mean is in
[scenario files](scenarios.md); [`scenario.schema.json`](scenario.schema.json) is the same for editors.

A duration is a text: a positive number and `ms`, `s`, `m` or `h`, as `500ms` or `1.5h`; zero is `0s`. An optional field
may be `null`. A file with one entry may have the entry's fields at the top level, instead of `scenarios`.
"""
_ROOTS: Final[dict[str, type[Spec]]] = {"Scenario file": ScenarioFile, "Pack": PackFile}
_UNIONS: Final = {
    "GeneratorConfig": "generator",
    "LogGeneratorConfig": "log_generator",
    "DistributionConfig": "distribution",
    "EncoderConfig": "encoder",
    "SinkConfig": "sink",
}


def reference() -> str:
    """Return the page, in Markdown."""
    page = Page(VERSION, _UNIONS)
    for title, struct in _ROOTS.items():
        page.add(title, struct)
    return "\n".join([_HEAD, *page.sections])


if __name__ == "__main__":
    sys.stdout.write(reference())
