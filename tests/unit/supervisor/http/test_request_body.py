"""What requests that are being received may take together."""

from supervisor.http.request_body import FREE_HEAD_BYTES, ByteBudget, HalfHead


def test_half_a_head_is_free_up_to_a_point() -> None:
    """What is longer is taken from what all of them share, and given back when it is whole or its client is gone."""
    budget = ByteBudget(100)
    first, second = HalfHead(budget), HalfHead(budget)
    assert first.grew(FREE_HEAD_BYTES)
    assert first.grew(FREE_HEAD_BYTES + 60)
    assert second.grew(FREE_HEAD_BYTES)
    assert not second.grew(FREE_HEAD_BYTES + 50)
    assert second.grew(FREE_HEAD_BYTES + 40)
    first.close()
    first.close()
    assert second.grew(FREE_HEAD_BYTES + 100)
    del second
    assert budget.take(100)
    assert not budget.take(1)
