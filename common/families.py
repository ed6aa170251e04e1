"""Series and metric families to Prometheus text; what a process of ours tells about itself. Pure, and without numpy.

Source: docs/formats.md, "Prometheus text".
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from common.units import number_text

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_VALUE_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})

LabelPairs = tuple[tuple[str, str], ...]
Sample = tuple[tuple[str, ...], float]
"""Values of a family's labels, and the sample's own."""


def escape_label_value(text: str) -> str:
    r"""Return `text` with `\`, `"` and line feeds escaped; everything else stays as it is."""
    return text.translate(_VALUE_ESCAPES)


def series_text(name: str, labels: LabelPairs) -> str:
    """Return `name{key="value",…}`, without braces when there are no labels."""
    if not labels:
        return name
    pairs = ",".join(f'{key}="{escape_label_value(value)}"' for key, value in labels)
    return f"{name}{{{pairs}}}"


def metadata_text(name: str, metric_type: str, help_text: str | None = None) -> bytes:
    """Return the `# HELP` line, when there is a help text, and the `# TYPE` line of a metric family."""
    type_line = f"# TYPE {name} {metric_type}\n"
    if help_text is None:
        return type_line.encode()
    return f"# HELP {name} {help_text.translate(_HELP_ESCAPES)}\n{type_line}".encode()


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family; its header lines are there even without samples.

    Attributes:
        name: of the metric.
        metric_type: counter, gauge, …
        help_text: one line.
        labels: names of its labels.
        samples: in the order in which they are shown.
    """

    name: str
    metric_type: str
    help_text: str
    labels: tuple[str, ...] = ()
    samples: Iterable[Sample] = ()

    def text(self) -> str:
        """Return header and samples."""
        return header(self.name, self.metric_type, self.help_text) + "".join(
            line(self.name, tuple(zip(self.labels, values, strict=True)), value) for values, value in self.samples
        )


def single(name: str, metric_type: str, help_text: str, value: float) -> Family:
    """Return a family of one sample without labels."""
    return Family(name, metric_type, help_text, samples=[((), value)])


def header(name: str, metric_type: str, help_text: str) -> str:
    """Return the `# HELP` and `# TYPE` lines."""
    return metadata_text(name, metric_type, help_text).decode()


def line(name: str, labels: LabelPairs, value: float) -> str:
    """Return the line of one sample; an integer is exact at any size, a truth value is 0 or 1."""
    digits = str(int(value)) if isinstance(value, int) else number_text(value)
    return f"{series_text(name, labels)} {digits}\n"


def histogram_lines(
    name: str, labels: LabelPairs, bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[str]:
    """Yield the lines of one histogram: cumulative buckets, sum and count.

    Args:
        name: of the family.
        labels: of the histogram, without `le`.
        bounds: upper bounds, ascending; `+Inf` is added.
        counts: observations per bound and those above all of them, not cumulative.
        total: sum of all observations.
    """
    cumulative = list(itertools.accumulate(counts))
    for bound, count in zip([*map(number_text, bounds), "+Inf"], cumulative, strict=True):
        yield line(f"{name}_bucket", (*labels, ("le", bound)), count)
    yield line(f"{name}_sum", labels, total)
    yield line(f"{name}_count", labels, cumulative[-1])
