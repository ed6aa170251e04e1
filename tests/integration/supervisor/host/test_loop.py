"""The main thread's loop over real descriptors, timers, threads and signals."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from supervisor.host import loop as loop_module
from supervisor.host.loop import SHUTDOWN_SIGNALS, WRITE, Loop


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


def test_a_signal_comes_before_what_is_ready(loop: Loop) -> None:
    """Of a signal to the whole group a child may tell the consequences before the loop has seen it."""
    reader, writer = os.pipe()
    made: list[str] = []
    loop.watch(reader, lambda: made.append(os.read(reader, 1).decode()))
    loop.catch_signals(lambda: made.append("signal"))
    os.write(writer, b"c")
    os.kill(os.getpid(), signal.SIGTERM)
    loop.turn()
    os.close(reader)
    os.close(writer)
    assert made == ["signal", "c"]


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


def test_a_number_watched_again_in_the_same_turn_is_not_called_for_the_old_event(loop: Loop) -> None:
    """When a callback closes a descriptor and another one gets its number, only the other one's own data calls back."""
    pipes = [os.pipe() for _ in range(2)]
    called: list[str] = []

    def readable(which: int) -> None:
        called.append("first")
        os.read(pipes[which][0], 1)
        other = pipes[1 - which][0]
        loop.unwatch(other)
        os.close(other)
        fresh, writer = os.pipe()
        assert fresh == other
        loop.watch(fresh, lambda: called.append("fresh"))
        loop.after(0.02, loop.stop)
        os.close(pipes[1 - which][1])
        pipes[1 - which] = fresh, writer

    for which, (reader, writer) in enumerate(pipes):
        loop.watch(reader, lambda which=which: readable(which))
        os.write(writer, b"x")
    loop.run(_idle)
    assert called == ["first"]
    for pipe in pipes:
        for descriptor in pipe:
            os.close(descriptor)


def test_a_later_watch_replaces_the_callback_and_what_it_waits_for(loop: Loop) -> None:
    """The same descriptor is watched once, for what was asked last."""
    reader, writer = os.pipe()
    called: list[str] = []
    os.write(writer, b"x")
    loop.watch(writer, lambda: called.append("read"))
    loop.watch(writer, lambda: called.append("write") or loop.unwatch(writer), WRITE)
    loop.turn()
    assert called == ["write"]
    os.close(reader)
    os.close(writer)


def test_soon_comes_after_everything_that_is_ready(loop: Loop) -> None:
    """What is ready together is called before what was asked for meanwhile."""
    pipes = [os.pipe() for _ in range(3)]
    order: list[str] = []

    def readable(reader: int) -> None:
        order.append("ready")
        os.read(reader, 1)
        loop.soon(lambda: order.append("soon"))

    for reader, writer in pipes:
        loop.watch(reader, lambda reader=reader: readable(reader))
        os.write(writer, b"x")
    loop.turn()
    assert order == ["ready"] * 3 + ["soon"] * 3
    for pipe in pipes:
        for descriptor in pipe:
            os.close(descriptor)


def _fail() -> None:
    raise OSError("a directory is read-only")


def test_no_failing_call_ends_the_loop(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Timers, posts, calls for soon and steps between turns may fail: each is logged and the others go on."""
    steps: list[int] = []

    def between(now_ns: int) -> int | None:
        steps.append(now_ns)
        if len(steps) == 1:
            raise ValueError(now_ns)
        return None

    loop.after(0, _fail)
    loop.post(_fail)
    loop.soon(_fail)
    loop.after(0.01, loop.stop)
    loop.run(between)
    assert [record.message for record in caplog.records] == [
        "A step of the main loop failed.",
        *["A callback of the main loop failed."] * 3,
    ]
    assert len(steps) > 1


def test_a_descriptor_whose_callback_fails_is_left_alone_for_a_while(
    loop: Loop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A readable descriptor whose callback fails is not called over and over, but again after its rest."""
    monkeypatch.setattr(loop_module, "_REST_SECS", 0.02)
    reader, writer = os.pipe()
    failed: list[float] = []

    def readable() -> None:
        failed.append(time.monotonic())
        if len(failed) == 2:
            loop.unwatch(reader)
            loop.after(0.05, loop.stop)
        _fail()

    loop.watch(reader, readable)
    os.write(writer, b"x")
    loop.run(_idle)
    assert len(failed) == len(caplog.records) == 2
    assert failed[1] - failed[0] >= 0.02
    os.close(reader)
    os.close(writer)


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
