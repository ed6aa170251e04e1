"""What tests of a worker's parts share."""

from collections.abc import Iterator

import pytest

from tests.support.station import Station


@pytest.fixture
def station() -> Iterator[Station]:
    """A worker's waiting in this process; what was built on it is closed, whatever became of the test."""
    with Station() as station:
        yield station
