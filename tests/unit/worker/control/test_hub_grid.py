"""How deadlines of entries that share a process are rounded up."""

import pytest

from worker.control.hub import grid_for

MS = 1_000_000


@pytest.mark.parametrize(
    ("slack_ms", "grid_ms"), [(0, 1), (0.5, 1), (4, 4), (10, 10), (50, 10), (60, 12), (250, 50), (1000, 200)]
)
def test_the_grid_is_as_coarse_as_the_slack_bears(slack_ms: float, grid_ms: int) -> None:
    """A millisecond at least; the slack itself while it is short, a fifth of a long one."""
    assert grid_for(int(slack_ms * MS)) == grid_ms * MS
