"""Prometheus text read back, as strictly as a scraper would."""

import re

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)( \d+)?")
_HEADER = re.compile(r"# (?:HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*|TYPE [a-zA-Z_:][a-zA-Z0-9_:]* \w+)")


def samples(text: str) -> dict[str, float]:
    """Return each series with its value; labels stand as they were written.

    Raises:
        AssertionError: a line is no Prometheus text, or a series comes twice.
    """
    found: dict[str, float] = {}
    for line in text.removesuffix("\n").split("\n"):
        if _HEADER.fullmatch(line):
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        series = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
        assert series not in found, line
        found[series] = float(match[3])
    return found
