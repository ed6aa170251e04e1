"""What sinks decide without touching a destination."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.specs import File, Memory, Retry, Spec, Stdout, Tcp, Udp
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker import sinks
from worker.delivery.backoff import Backoff
from worker.sinks.context import SinkContext
from worker.sinks.memory import MemorySink
from worker.sinks.resolve import resolve
from worker.sinks.stdout import chunk_ends_of
from worker.ticks.batch import Encoded

lines = st.lists(st.binary(max_size=9000).map(lambda text: text.replace(b"\n", b"") + b"\n"), min_size=1, max_size=12)


@given(lines)
def test_chunks_are_whole_lines_and_fit_a_pipe_where_a_line_does(parts: list[bytes]) -> None:
    """Chunks cover the payload in order; only a single line may be longer than a pipe takes at once."""
    payload = b"".join(parts)
    start = 0
    for end in chunk_ends_of(Encoded(payload=payload, events=len(parts))):
        chunk = payload[start:end]
        assert chunk.endswith(b"\n")
        assert len(chunk) <= 4096 or chunk.count(b"\n") == 1
        start = end
    assert start == len(payload)


@pytest.mark.parametrize("attempt", [0, 1, 5, 10_000])
def test_backoff_is_full_jitter(attempt: int) -> None:
    """Uniform between nothing and a limit that doubles from the initial to the greatest backoff."""
    backoff = Backoff(Retry(max_attempts=3, initial_backoff="100ms", max_backoff="1s"))
    limit = min(0.1 * 2 ** min(attempt, 10), 1.0)
    drawn = [backoff.draw_secs(attempt) for _ in range(300)]
    assert 0 <= min(drawn) < 0.1 * limit
    assert 0.9 * limit < max(drawn) <= limit


@pytest.mark.parametrize(
    ("address", "family", "where"),
    [
        ("127.0.0.1:80", socket.AF_INET, ("127.0.0.1", 80)),
        ("[::1]:65535", socket.AF_INET6, ("::1", 65535, 0, 0)),
    ],
)
def test_numeric_addresses_need_no_name_server(address: str, family: int, where: tuple[object, ...]) -> None:
    """They are resolved without a wait."""
    found = resolve(address, socket.SOCK_STREAM, ManualWaiter(ManualClock()))
    assert [(entry[0], entry[4]) for entry in found] == [(family, where)]


@pytest.mark.parametrize("address", ["", "localhost", ":80", "localhost:", "localhost:http", "h:65536", "h:-1", "h:٣"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Without asking a name server."""
    with pytest.raises(OSError, match="invalid socket address"):
        resolve(address, socket.SOCK_STREAM, ManualWaiter(ManualClock()))


def test_memory_captures_the_newest_events() -> None:
    """At most max_events, each with the instant of its write; lines are told apart by their line feed alone."""
    clock = ManualClock()
    sink = MemorySink(Memory(capture=True, max_events=2), clock)
    sink.write(Encoded(payload=b"a\nb\r c\nd\n", events=3))
    assert [event for _, event in sink.captured] == [b"b\r c\n", b"d\n"]
    assert {at for at, _ in sink.captured} == {clock.wall_ns()}


def test_memory_keeps_nothing_unless_asked() -> None:
    """Without capture a run of any length needs no memory."""
    sink = MemorySink(Memory(), ManualClock())
    sink.write(Encoded(payload=b"a\n", events=1))
    assert not sink.captured


@pytest.mark.parametrize("spec", [Stdout(), File(path="x"), Tcp(address="h:1"), Udp(address="h:1"), Memory()])
def test_every_sink_is_built_without_touching_anything_and_closes_unopened_and_twice(spec: Spec) -> None:
    """Building contacts nothing, and close is safe in every state."""
    clock = ManualClock()
    context = SinkContext(waiter=ManualWaiter(clock), clock=clock, lock_descriptor=-1, plan=entry_plan())
    sink = sinks.BUILDERS[type(spec)](spec, context)
    sink.close()
    sink.close()


def test_a_memory_of_any_bound_can_be_made() -> None:
    """Also of one that no memory could hold."""
    sink = MemorySink(Memory(capture=True, max_events=2**64 - 1), ManualClock())
    sink.write(Encoded(payload=b"a\n", events=1))
    assert len(sink.captured) == 1
