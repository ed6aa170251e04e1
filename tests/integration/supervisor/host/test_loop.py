"""The main thread's loop over real descriptors, timers, threads and signals."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from supervisor.host.loop import SHUTDOWN_SIGNALS, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    handlers = {number: signal.getsignal(number) for number in SHUTDOWN_SIGNALS}
    loop = Loop()
    yield loop
    loop.close()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _idle(now_ns: int) -> None:
    return None


def test_posted_calls_run_on_the_loop_in_order(loop: Loop) -> None:
    """Calls from other threads are made by the loop's thread, each thread's calls in its order."""
    made: list[tuple[int, int, int]] = []

    def post_many(which: int) -> None:
        for number in range(500):
            loop.post(lambda number=number: made.append((which, number, threading.get_ident())))
        loop.post(lambda: stopped.append(which) or (len(stopped) == 4 and loop.stop()))

    stopped: list[int] = []
    threads = [threading.Thread(target=post_many, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    loop.run(_idle)
    for thread in threads:
        thread.join()
    assert len(made) == 2000
    assert {ident for _, _, ident in made} == {threading.get_ident()}
    for which in range(4):
        assert [number for thread, number, _ in made if thread == which] == list(range(500))


def test_timers_fire_in_order_and_not_early(loop: Loop) -> None:
    """Timers fire by their time, not by their creation, and none before its time; cancelled ones never fire."""
    begun = time.monotonic()
    fired: list[tuple[str, float]] = []

    def note(name: str) -> None:
        fired.append((name, time.monotonic() - begun))

    loop.after(0.06, lambda: (note("late"), loop.stop()))
    loop.after(0.02, lambda: note("early"))
    loop.after(0.03, lambda: note("never")).cancel()
    loop.run(_idle)
    assert [name for name, _ in fired] == ["early", "late"]
    assert fired[0][1] >= 0.02
    assert fired[1][1] >= 0.06


def test_every_calls_at_once_and_again(loop: Loop) -> None:
    """A periodic callback is called at once and then again and again."""
    calls: list[float] = []
    loop.every(0.005, lambda: calls.append(time.monotonic()) or (len(calls) == 4 and loop.stop()))
    assert len(calls) == 1
    loop.run(_idle)
    assert len(calls) == 4


def test_readable_descriptors_call_back_until_unwatched(loop: Loop) -> None:
    """A watched pipe calls back for what is written and for its end; unwatching twice does nothing."""
    reader, writer = os.pipe()
    read: list[bytes] = []

    def readable() -> None:
        read.append(os.read(reader, 100))
        if read[-1]:
            os.close(writer)
        else:
            loop.unwatch(reader)
            loop.unwatch(reader)
            loop.stop()

    loop.watch(reader, readable)
    os.write(writer, b"first")
    loop.run(_idle)
    assert read == [b"first", b""]
    os.close(reader)


def test_a_callback_may_unwatch_another_that_is_due(loop: Loop) -> None:
    """When one callback of a round ends what another watches, the other is not called any more."""
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def readable(which: int) -> None:
        called.append(which)
        for reader, _ in pipes:
            loop.unwatch(reader)
        loop.stop()

    for which, (reader, writer) in enumerate(pipes):
        loop.watch(reader, lambda which=which: readable(which))
        os.write(writer, b"x")
    loop.run(_idle)
    assert len(called) == 1
    for pipe in pipes:
        for descriptor in pipe:
            os.close(descriptor)


def test_between_is_called_again_when_it_asks(loop: Loop) -> None:
    """Work that is spread over rounds goes on without any event, and nothing spins when there is none."""
    rounds: list[int] = []

    def between(now_ns: int) -> int | None:
        rounds.append(now_ns)
        if len(rounds) == 3:
            loop.after(0.03, loop.stop)
        return now_ns if len(rounds) < 3 else None

    loop.run(between)
    assert 3 <= len(rounds) <= 5


@pytest.mark.parametrize("number", SHUTDOWN_SIGNALS)
def test_signals_are_handled_on_the_loop(loop: Loop, number: signal.Signals) -> None:
    """A signal sent before the loop runs is not lost, and each one calls back."""
    called: list[int] = []
    loop.catch_signals(lambda: called.append(1) or (len(called) == 2 and loop.stop()))
    os.kill(os.getpid(), number)
    loop.after(0.01, lambda: os.kill(os.getpid(), number))
    loop.run(_idle)
    assert called == [1, 1]


def test_refused_posts_are_told(loop: Loop) -> None:
    """After the loop has ended, calls already posted are made and later ones are refused, so that nobody waits."""
    made: list[str] = []
    loop.post(lambda: made.append("before"))
    loop.refuse_posts()
    assert made == ["before"]
    assert not loop.post(lambda: made.append("after"))
    assert made == ["before"]
