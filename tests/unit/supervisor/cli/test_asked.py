"""`--segment auto`: which segment a scheduler has given to a process."""

import re

import pytest

from common.segments import Segment
from supervisor.cli.asked import segment_from


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Segment(1, 4)),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SONDAD_SEGMENTS": "9"}, Segment(4, 4)),
        ({"JOB_COMPLETION_INDEX": "1", "SONDAD_SEGMENTS": "2"}, Segment(2, 2)),
        ({"NOMAD_ALLOC_INDEX": "0", "SONDAD_SEGMENTS": "1"}, Segment(1, 1)),
    ],
)
def test_a_scheduler_says_which(environment: dict[str, str], expected: Segment) -> None:
    """They count from 0, segments from 1; Slurm alone gives the number of all."""
    assert segment_from(environment) == expected


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "none of SLURM_PROCID, JOB_COMPLETION_INDEX, NOMAD_ALLOC_INDEX is set"),
        ({"SLURM_PROCID": "0"}, "SLURM_PROCID is set, as by Slurm, but SLURM_NTASKS, the number of segments, is not"),
        ({"NOMAD_ALLOC_INDEX": "0"}, "as by Nomad, but SONDAD_SEGMENTS, the number of segments, is not"),
        ({"JOB_COMPLETION_INDEX": "2", "SONDAD_SEGMENTS": "2"}, "JOB_COMPLETION_INDEX is 2 and SONDAD_SEGMENTS is 2: "),
        ({"JOB_COMPLETION_INDEX": "-1", "SONDAD_SEGMENTS": "2"}, "JOB_COMPLETION_INDEX is not a number: '-1'"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "many"}, "SLURM_NTASKS is many: expected I/N"),
    ],
)
def test_what_is_missing_is_named(environment: dict[str, str], reason: str) -> None:
    """The variable, and who sets it."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        segment_from(environment)
