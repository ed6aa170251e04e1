"""What a dry run prints of every example, by the sums of its bytes."""

import pytest

from tests.support.example_sums import COMMAND, SUMS, examples, printed, sum_line


@pytest.mark.parametrize("example", examples())
def test_a_dry_run_prints_the_same_bytes(example: str) -> None:
    """As when the sum was taken: names, rates, generators, encoders, sinks, labels, gates, in their form and order."""
    listed = SUMS.read_text().splitlines()
    assert sum_line(example) in listed, f"if this is meant, run {COMMAND}\n{printed(example)}"
