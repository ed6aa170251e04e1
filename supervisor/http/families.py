"""Metric families of the daemon itself to Prometheus text. Pure.

Source: docs/http.md, "Scrape one" and "The daemon itself".
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common.exposition import metadata_text, series_text
from common.units import number_text
from supervisor.http.request_counts import BUCKETS_SECS, Durations

Sample = tuple[tuple[str, ...], float]
"""Values of a family's labels, and the sample's own."""


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


def line(name: str, labels: tuple[tuple[str, str], ...], value: float) -> str:
    """Return the line of one sample."""
    return f"{series_text(name, labels)} {number_text(value)}\n"


def histogram_lines(name: str, labels: tuple[tuple[str, str], ...], durations: Durations) -> Iterator[str]:
    """Yield the lines of one histogram: cumulative buckets, sum and count."""
    bounds = [*map(number_text, BUCKETS_SECS), "+Inf"]
    cumulative = list(itertools.accumulate(durations.counts))
    for bound, count in zip(bounds, cumulative, strict=True):
        yield line(f"{name}_bucket", (*labels, ("le", bound)), count)
    yield line(f"{name}_sum", labels, durations.sum_secs)
    yield line(f"{name}_count", labels, cumulative[-1])
