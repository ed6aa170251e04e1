"""Which writes count as confirmed, with a kernel that confirms what it is told to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sinks import unconfirmed
from worker.sinks.unconfirmed import Unconfirmed


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=2000), st.data())
def test_no_doubt_is_missed(writes: list[tuple[int, int]], data: st.DataObject) -> None:
    """Everything behind what is confirmed is in doubt; with few writes that is exact, with many it may be more."""
    total = sum(size for size, _ in writes)
    confirmed = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unconfirmed, "confirmed_bytes", lambda _: confirmed)
        writing = Unconfirmed(None)  # type: ignore[arg-type]  # asked above
        for size, events in writes:
            writing.wrote(size, events)
        confirmed += data.draw(st.integers(0, total))
        found = writing.events()
    end, exact = 0, 0
    for size, events in writes:
        end += size
        exact += events if end > confirmed - 1 else 0
    assert exact <= found <= sum(events for _, events in writes)
    if len(writes) <= 256:
        assert found == exact
    assert len(writing._writes) <= 256
