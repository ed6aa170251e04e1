"""What options ask of a run apart from what stands in its file: which segment of it, and when it starts.

Source: docs/command-line.md, "Segments".
"""

import os
from collections.abc import Mapping
from typing import Final

import click

from common.segments import Segment
from supervisor.cli.options import Once, Switch

COUNT_VARIABLE: Final = "SONDAD_SEGMENTS"
"""The number of segments, where a scheduler says only which one it is."""

_SCHEDULERS: Final = (
    ("Slurm", "SLURM_PROCID", "SLURM_NTASKS"),
    ("a Kubernetes Indexed Job", "JOB_COMPLETION_INDEX", COUNT_VARIABLE),
    ("Nomad", "NOMAD_ALLOC_INDEX", COUNT_VARIABLE),
)
"""Who says in the environment which of how many processes this is; all count from 0."""


def segment_of(text: str) -> Segment:
    """Return the segment that an option names; ValueError for one that is none, or not known."""
    return segment_from(os.environ) if text == "auto" else Segment.parse(text)


def segment_from(environment: Mapping[str, str]) -> Segment:
    """Return the segment that a scheduler has given to this process; ValueError without one."""
    for scheduler, index_name, count_name in _SCHEDULERS:
        index = environment.get(index_name)
        if index is None:
            continue
        count = environment.get(count_name)
        if count is None:
            raise ValueError(
                f"{index_name} is set, as by {scheduler}, but {count_name}, the number of segments, is not"
            )
        if not (index.isascii() and index.isdigit()):
            raise ValueError(f"{index_name} is not a number: '{index}'")
        try:
            return Segment.parse(f"{int(index) + 1}/{count}")
        except ValueError as exc:
            raise ValueError(f"{index_name} is {index} and {count_name} is {count}: {exc}") from exc
    names = ", ".join(index_name for _, index_name, _ in _SCHEDULERS)
    raise ValueError(f"nothing in the environment says which segment this is: none of {names} is set")


def asked_options() -> list[click.Parameter]:
    """Return the options of commands that launch."""
    return [
        Once(
            "--segment",
            metavar="I/N",
            help="run only the I-th of N segments, counted from 1; auto: as Slurm, Kubernetes or Nomad says",
            read=segment_of,
        ),
        Once("--start-at", metavar="INSTANT", help="when to start: RFC 3339, or seconds since the epoch"),
        Switch("--digest", help="sum up the events of every entry, to compare or add up what runs have made"),
    ]
