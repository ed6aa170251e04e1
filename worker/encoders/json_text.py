"""Strings and label objects as JSON spells them. Source: docs/formats.md, "JSON lines"."""

import msgspec

from worker.encoders.label_text import LabelSyntax


def escape_json(text: str) -> str:
    """Return `text` as it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1].decode()


def label_syntax(*, before: str, after: str) -> LabelSyntax:
    """Return labels as one JSON object, with constant text around it."""
    return LabelSyntax(
        opening=f"{before}{{",
        closing=f"}}{after}",
        empty=f"{before}{{}}{after}",
        between=",",
        key=lambda key: f'"{escape_json(key)}":"',
        after_value='"',
        escape=escape_json,
    )
