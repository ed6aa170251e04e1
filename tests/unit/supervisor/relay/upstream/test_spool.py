"""The spool index against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.relay.config.records import SpoolLimits
from supervisor.relay.upstream.spool import Spool, SpoolEntry

KEYS = [("a", "x"), ("a", "y"), ("b", "x")]


def limits(max_entries: int = 6, max_bytes: int = 100, on_full: str = "drop_oldest") -> SpoolLimits:
    return SpoolLimits(
        max_entries=max_entries,
        max_bytes=max_bytes,
        max_age_secs=1,
        on_full=on_full,
        sync="off",  # type: ignore[arg-type]
    )


def is_superseded(entries: list[SpoolEntry], entry: SpoolEntry, newcomer: tuple[tuple[str, str], str]) -> bool:
    """What a victim is: pending, not in flight, same status as both neighbours, the new one counted."""
    statuses = [(one, one.status) for one in entries if one.key == entry.key]
    if newcomer[0] == entry.key:
        statuses.append((None, newcomer[1]))  # type: ignore[arg-type]
    at = [one for one, _ in statuses].index(entry)
    return not entry.busy and 0 < at < len(statuses) - 1 and statuses[at - 1][1] == entry.status == statuses[at + 1][1]


def model_room(
    entries: list[SpoolEntry], bound: SpoolLimits, newcomer: tuple[tuple[str, str], str], size_bytes: int
) -> object:
    """Return [(seq, reason)] of what has to go, or None."""
    left, dropped = list(entries), []

    def fits() -> bool:
        return len(left) < bound.max_entries and sum(one.size_bytes for one in left) + size_bytes <= bound.max_bytes

    while not fits() and (found := [one for one in left if is_superseded(left, one, newcomer)]):
        left.remove(found[0])
        dropped.append((found[0].seq, "coalesced"))
    while not fits() and bound.on_full == "drop_oldest" and size_bytes <= bound.max_bytes:
        idle = [one for one in left if not one.busy]
        if not idle:
            break
        left.remove(idle[0])
        dropped.append((idle[0].seq, "overflow"))
    return dropped if fits() else None


steps = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from(["ok", "ok", "warn"]),
        st.integers(1, 40),
        st.sampled_from(["append", "append", "append", "busy", "drop", "undo"]),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(steps, st.sampled_from(["drop_oldest", "reject"]))
def test_it_behaves_like_a_plain_list(script: list[tuple[tuple[str, str], str, int, str, int]], on_full: str) -> None:
    """Order, counts, bytes and every drop equal those of the model; an undone group leaves no trace."""
    spool, entries = Spool(), []
    bound = limits(on_full=on_full)
    for key, status, size_bytes, action, at in script:
        before = list(entries)
        spool.mark()
        if action in ("append", "undo"):
            expected = model_room(entries, bound, (key, status), size_bytes)
            dropped = spool.make_room(bound, key, status, size_bytes)
            assert (None if dropped is None else [(one.seq, why) for one, why in dropped]) == expected
            if dropped is not None:
                gone = {one.seq for one, _ in dropped}
                entries = [one for one in entries if one.seq not in gone]
                entry = SpoolEntry(spool.next_seq(), key, status, size_bytes, 0, durable=False)
                spool.append(entry)
                entries.append(entry)
        elif entries and action == "busy":
            entries[at % len(entries)].busy ^= True
        elif entries:
            spool.drop(entries.pop(at % len(entries)))
        if action == "undo":
            spool.undo()
            entries = before
        else:
            spool.keep()
        assert list(spool) == entries
        assert len(spool) == len(entries)
        assert spool.size_bytes == sum(one.size_bytes for one in entries)
        assert spool.oldest_of_all() is (entries[0] if entries else None)
        for one in KEYS:
            mine = [entry for entry in entries if entry.key == one]
            assert spool.oldest(one) is (mine[0] if mine else None)
            assert spool.newest(one) is (mine[-1] if mine else None)
            assert spool.pending(one) == len(mine)
        assert set(spool.keys()) == {entry.key for entry in entries}


def test_numbers_are_never_used_again() -> None:
    """A dropped entry's number does not come back, so a late answer cannot meet another entry."""
    spool = Spool()
    spool.append(SpoolEntry(spool.next_seq(), KEYS[0], "ok", 1, 0, durable=True))
    entry = spool.oldest(KEYS[0])
    assert entry is not None
    spool.drop(entry)
    assert spool.next_seq() == 2
