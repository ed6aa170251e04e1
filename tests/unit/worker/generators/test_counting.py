"""How many draws lie at or below each bound of a histogram: as a loop would count."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.generators.histogram import at_most

FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan]), st.floats(-3, 3))


@given(
    bounds=st.lists(st.floats(-3, 3), min_size=1, max_size=30, unique=True).map(sorted),
    places=st.one_of(st.integers(1, 5), st.sampled_from([254, 255, 256, 300])),
    ticks=st.integers(1, 4),
    data=st.data(),
)
def test_draws_are_counted_as_one_by_one(bounds: list[float], places: int, ticks: int, data: st.DataObject) -> None:
    """A draw on a bound lies at it; NaN lies below none; all of 255 places may lie below."""
    some = data.draw(st.lists(FLOATS, min_size=1, max_size=7))
    draws = np.resize(np.array(some), (places, ticks))
    counted = at_most(np.array(bounds), draws)
    assert counted.tolist() == [[sum(draw <= bound for draw in tick) for tick in draws.T.tolist()] for bound in bounds]
