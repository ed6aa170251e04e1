"""A log event as what it says, for encoders that write no lines. Source: docs/scenarios.md, "Logs" and "Replays"."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.plan import SEVERITIES, ReplayRows
from common.specs import LogTemplate, Template
from worker.generators.log_template import pools_of

_INFO: Final = SEVERITIES.index("info")
_PLACEHOLDER: Final = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event.

    Attributes:
        severity: index in `SEVERITIES`.
        message: its text.
        fields: names and values in ascending order of names.
    """

    severity: int
    message: str
    fields: tuple[tuple[str, str], ...]


class LogEvents:
    """What the choices of events stand for."""

    def __init__(self, source: LogTemplate | ReplayRows) -> None:
        self._source = source
        self._templates = (Template(message=""),) if isinstance(source, ReplayRows) else source.templates
        self._templates = self._templates or (Template(message=""),)

    def template(self, tick: int) -> int:
        """Return which template a tick has; events of one template with the same choices are equal."""
        return tick % len(self._templates)

    def event(self, tick: int, choices: NDArray[np.int32]) -> LogEvent:
        """Return the event of `tick`; see the generators of logs for its choices."""
        source = self._source
        if isinstance(source, ReplayRows):
            row = int(choices[0])
            cells = ((name, values[row]) for name, values in sorted(source.fields.items()))
            fields = tuple((name, value) for name, value in cells if value is not None)
            return LogEvent(source.severities[row], source.messages[row], fields)
        template = self._templates[self.template(tick)]
        picks = zip(pools_of(template), choices[1:].tolist(), strict=False)
        fields = tuple((name, values[pick] if values else "") for (name, values), pick in picks)
        named = dict(fields)
        message = _PLACEHOLDER.sub(lambda found: named.get(found[1], found[0]), template.message)
        severity = int(choices[0]) if source.templates and source.severity_weights else _INFO
        return LogEvent(severity, message, fields)
