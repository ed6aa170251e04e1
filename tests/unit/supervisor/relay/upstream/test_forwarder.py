"""The schedule of forwarding, with `now` passed in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.host.roundtrip import unix_target
from supervisor.relay.config.records import UpstreamBackoff, UpstreamSettings
from supervisor.relay.upstream.forwarder import Forwarder, Result, asked_wait_secs, classify
from supervisor.relay.upstream.spool import Spool, SpoolEntry

A, B, C = ("a", "1"), ("b", "1"), ("a", "2")


def upstream(concurrency: int = 4, jitter: float = 0.0) -> UpstreamSettings:
    return UpstreamSettings(
        target=unix_target("/x"),
        token=None,
        ca_certificates=None,
        timeout_secs=1.0,
        concurrency=concurrency,
        backoff=UpstreamBackoff(initial_secs=1.0, max_secs=30.0, jitter=jitter),
        forward="all",
        heartbeat_secs=300.0,
    )


def spooled(*keys: tuple[str, str]) -> Spool:
    spool = Spool()
    for key in keys:
        spool.append(SpoolEntry(spool.next_seq(), key, "ok", 1, 0, durable=True))
    return spool


def make(spool: Spool, concurrency: int = 4, jitter: float = 0.0) -> Forwarder:
    return Forwarder(spool, upstream(concurrency, jitter), random.Random(1))


def take(forwarder: Forwarder, now: float) -> SpoolEntry:
    entry = forwarder.next_entry(now)
    assert entry is not None
    return entry


def test_keys_take_turns_with_one_entry_each() -> None:
    """At most one request of a key is in flight, and never more than the concurrency in all."""
    forwarder = make(spooled(A, A, B, C), concurrency=2)
    first, second = take(forwarder, 0.0), take(forwarder, 0.0)
    assert [first.key, second.key] == [A, B]
    assert forwarder.next_entry(0.0) is None
    forwarder.finished(second, Result.OK, 0.0)
    assert take(forwarder, 0.0).key == C


def test_the_next_entry_of_a_key_waits_for_the_durable_end_of_the_first() -> None:
    """Only `settled` lets a key go on."""
    spool = spooled(A, A)
    forwarder = make(spool)
    first = take(forwarder, 0.0)
    forwarder.finished(first, Result.OK, 0.0)
    assert forwarder.next_entry(0.0) is None
    spool.drop(first)
    forwarder.settled(first)
    assert take(forwarder, 0.0).seq == 2


def test_uncommitted_entries_are_not_sent() -> None:
    """What may still be undone stays here until it is tracked after its commit."""
    spool = spooled()
    entry = SpoolEntry(1, A, "ok", 1, 0, durable=False)
    spool.append(entry)
    forwarder = make(spool)
    assert forwarder.next_entry(0.0) is None
    spool.keep()
    forwarder.track([A])
    assert take(forwarder, 0.0) is entry


def test_backoff_doubles_per_key_up_to_its_maximum() -> None:
    """1, 2, 4, 8, 16, 30, 30 seconds after answers that ask for patience; other keys go on."""
    forwarder = make(spooled(A, B))
    now, waits = 0.0, []
    for _ in range(7):
        forwarder.finished(take(forwarder, now), Result.RETRY, now)
        if not waits:
            assert take(forwarder, now).key == B
        wake = forwarder.next_wake(now)
        assert wake is not None
        waits.append(wake - now)
        assert forwarder.next_entry(wake - 0.01) is None
        now = wake
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_retry_after_is_honoured() -> None:
    """The longer of backoff and `Retry-After` counts."""
    forwarder = make(spooled(A))
    forwarder.finished(take(forwarder, 0.0), Result.RETRY, 0.0, 120.0)
    assert forwarder.next_wake(0.0) == 120.0


def test_an_unreachable_upstream_is_probed_by_one_request_at_a_time() -> None:
    """Failures that happen together count once; the probe takes turns, a success opens the gate."""
    spool = spooled(A, B, C)
    forwarder = make(spool)
    entries = [take(forwarder, 0.0) for _ in range(3)]
    for entry in entries:
        forwarder.finished(entry, Result.UNREACHABLE, 0.0)
    assert forwarder.retry_in_secs(0.0) == 1.0
    probe = take(forwarder, 1.0)
    assert forwarder.next_entry(1.0) is None
    forwarder.finished(probe, Result.UNREACHABLE, 1.0)
    assert forwarder.retry_in_secs(1.0) == 2.0
    second = take(forwarder, 3.0)
    assert second.key != probe.key
    forwarder.finished(second, Result.OK, 3.0)
    assert take(forwarder, 3.0)
    assert take(forwarder, 3.0)


def test_a_401_pauses_everything() -> None:
    """At the maximum backoff, until a probe is accepted."""
    forwarder = make(spooled(A, B))
    forwarder.finished(take(forwarder, 0.0), Result.UNAUTHORIZED, 0.0)
    assert forwarder.unauthorized
    assert forwarder.next_entry(29.9) is None
    probe = take(forwarder, 30.0)
    assert forwarder.next_entry(30.0) is None
    forwarder.finished(probe, Result.OK, 30.0)
    assert not forwarder.unauthorized
    assert take(forwarder, 30.0)


def test_a_403_pauses_the_keys_of_its_client() -> None:
    """Other clients go on."""
    forwarder = make(spooled(A, B, C))
    forwarder.finished(take(forwarder, 0.0), Result.FORBIDDEN, 0.0)
    assert forwarder.held_clients(0.0) == ["a"]
    assert take(forwarder, 0.0).key == B
    assert forwarder.next_entry(0.0) is None
    assert {take(forwarder, 30.0).key, take(forwarder, 30.0).key} == {A, C}


def test_flush_forgets_every_pause_but_not_what_is_in_flight() -> None:
    """Everything that waits may be sent at once, nothing twice."""
    forwarder = make(spooled(A, B, C))
    flying = take(forwarder, 0.0)
    forwarder.finished(take(forwarder, 0.0), Result.RETRY, 0.0)
    forwarder.flush()
    assert {take(forwarder, 0.0).key, take(forwarder, 0.0).key} == {B, C}
    assert forwarder.next_entry(0.0) is None
    forwarder.finished(flying, Result.RETRY, 0.0)
    assert forwarder.next_wake(0.0) == 1.0


def test_jitter_only_shortens() -> None:
    """d = full * (1 - jitter * u)."""
    for _ in range(20):
        forwarder = make(spooled(A), jitter=0.5)
        forwarder.finished(take(forwarder, 0.0), Result.RETRY, 0.0)
        wake = forwarder.next_wake(0.0)
        assert wake is not None
        assert 0.5 < wake <= 1.0


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "OK"), (202, "OK"), (302, "UNREACHABLE"), (401, "UNAUTHORIZED"), (403, "FORBIDDEN"), (500, "RETRY")]
    + [(status, "RETRY") for status in (408, 425, 429, 503, 599)]
    + [(status, "REJECTED") for status in (400, 404, 405, 409, 413, 415, 418, 422, 431)],
)
def test_what_a_status_means(status: int, result: str) -> None:
    """The whole table of answers."""
    assert classify(status) is Result[result]


@pytest.mark.parametrize(
    ("value", "secs"),
    [(None, 0), ("7", 7), ("999999999999", 300), ("soon", 0), ("-1", 0), ("Thu, 01 Jan 1970 00:01:00 GMT", 50)],
)
def test_retry_after_values(value: str | None, secs: float) -> None:
    """Seconds or a date, at most five minutes; unreadable means none."""
    assert asked_wait_secs(value, 10.0) == secs


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 -2359",
        "Mon, 01 Jan 2030 00:00:00 +999999",
        "Mon, 99 Jan 2030 99:99:99 GMT",
        "9" * 5000,
        "\u0663",
    ],
)
def test_a_parent_cannot_harm_with_retry_after(value: str) -> None:
    """Dates that no calendar has are ignored or bounded."""
    assert 0.0 <= asked_wait_secs(value, 10.0) <= 300.0


@given(
    st.one_of(
        st.text(max_size=60),
        st.from_regex(
            r"(Mon, )?[0-9]{1,30} (Jan|Feb) -?[0-9]{1,30} [0-9]{1,9}:[0-9]{1,9}(:[0-9]{1,9})? [+-]?[0-9]{0,9}(GMT)?",
            fullmatch=True,
        ),
    )
)
def test_any_retry_after_is_a_wait_within_bounds(value: str) -> None:
    """No text raises, none makes the relay wait longer than five minutes."""
    assert 0.0 <= asked_wait_secs(value, 1.7e9) <= 300.0
