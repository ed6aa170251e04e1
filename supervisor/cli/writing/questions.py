"""A new file from answers. Source: docs/command-line.md, "new"."""

import sys
from typing import Any, Final

import click

from supervisor.cli.failures import CommandError
from supervisor.cli.writing.document import Quoted, defaults
from supervisor.cli.writing.scaffold import entries_text

_GENERATORS: Final[dict[str, dict[str, Any]]] = {
    "constant": {"value": 1.0},
    "sine": {"amplitude": 10.0, "period_secs": 60.0, "offset": 50.0},
    "sawtooth": {"min": 0.0, "max": 100.0, "period_secs": 60.0},
    "uniform": {"min": 0.0, "max": 100.0},
    "steady": {"center": 50.0, "amplitude": 10.0, "period": Quoted("60s")},
}
_OBSERVED: Final[dict[str, Any]] = {"distribution": {"type": "uniform", "min": 0.0, "max": 1.0}}


def asked_text() -> str:
    """Ask for everything, on the terminal, and return the file.

    Raises:
        CommandError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise CommandError(
            "sonda new requires an interactive terminal; pass --template or --from <csv> for non-interactive usage"
        )
    signal_type = _choice("Signal type", ["metrics", "logs", "histogram", "summary"])
    identifier = _text("Scenario id", "example")
    entry: dict[str, Any] = {"id": identifier, "signal_type": signal_type, "name": identifier}
    entry |= _source(signal_type)
    rate = click.prompt("Rate (events per second)", default=1.0, type=_Positive(), err=True)
    shared = defaults(_text("Duration", "60s"), int(rate) if rate.is_integer() else rate)
    if signal_type == "logs":
        shared["encoder"] = {"type": "json_lines"}
    shared["sink"] = _sink()
    return entries_text([entry], shared)


class _Positive(click.ParamType):  # type: ignore[type-arg]  # as in supervisor.cli.grammar
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            self.fail("expected a number", param, ctx)
        if not 0 < number < float("inf"):
            self.fail("must be greater than zero", param, ctx)
        return number


def _source(signal_type: str) -> dict[str, Any]:
    match signal_type:
        case "metrics":
            kind = _choice("Generator", list(_GENERATORS))
            return {"generator": {"type": kind, **_GENERATORS[kind]}}
        case "logs":
            template = {"message": "an event of {service}", "field_pools": {"service": ["api", "worker"]}}
            return {"log_generator": {"type": "template", "templates": [template]}}
        case "histogram":
            return {**_OBSERVED, "buckets": [0.1, 0.5, 1.0], "observations_per_tick": 10}
        case _:
            return {**_OBSERVED, "quantiles": [0.5, 0.9, 0.99], "observations_per_tick": 10}


def _sink() -> dict[str, Any]:
    match _choice("Sink", ["stdout", "file", "http_push"]):
        case "file":
            return {"type": "file", "path": _text("Path", "./out.txt")}
        case "http_push":
            return {"type": "http_push", "url": _text("URL", None)}
        case _:
            return {"type": "stdout"}


def _choice(question: str, words: list[str]) -> str:
    chosen: str = click.prompt(question, type=click.Choice(words), default=words[0], err=True)
    return chosen


def _text(question: str, default: str | None) -> str:
    answer: str = click.prompt(question, default=default, err=True)
    return answer
