"""Waits under a test's command: time passes when somebody waits, and what was asked for is on record."""

from collections.abc import Callable

from common.messages import Held, Retune


class ManualClock:
    """Two clocks that move only when told."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.wall_offset_ns = 1_700_000_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.wall_offset_ns + self.now_ns


class ManualWaiter:
    """A `Waiter` for one process without descriptors.

    Args:
        clock: moved on by every wait.
        stop_at_ns: when the scenario is stopped, or None.
        give_up_ns: when the time for delivering is over, or None.

    Attributes:
        retunes: the changes that are asked for, each at an instant, and whether it holds.
        held: what the run said when it stood still for one.
    """

    def __init__(self, clock: ManualClock, stop_at_ns: int | None = None, give_up_ns: int | None = None) -> None:
        self.clock = clock
        self.stop_at_ns = stop_at_ns
        self.give_up_ns = give_up_ns
        self.stdout_discards = False
        self.interrupted = False
        self.pauses: list[float] = []
        self.lines: list[str] = []
        self.looks = 0
        self.before_blocking: Callable[[], None] = lambda: None
        self.on_wait: Callable[[], None] = lambda: None
        self.retune: Retune | None = None
        self.retunes: list[tuple[int, Retune, bool]] = []
        self.held: list[Held] = []

    @property
    def stopping(self) -> bool:
        return self.stop_at_ns is not None and self.clock.now_ns >= self.stop_at_ns

    @property
    def given_up(self) -> bool:
        return self.give_up_ns is not None and self.clock.now_ns >= self.give_up_ns

    def stop_asked(self) -> bool:
        return self.stopping

    def look(self) -> None:
        self.looks += 1
        self._ask()

    def wait_until(self, deadline_ns: int) -> None:
        ends = [deadline_ns]
        if self.stop_at_ns is not None:
            ends.append(self.stop_at_ns)
        if self.retunes:
            ends.append(self.retunes[0][0])
        self.clock.now_ns = max(self.clock.now_ns, min(ends))
        self._ask()
        self.on_wait()

    def hold(self, held: Held) -> bool:
        self.held.append(held)
        self.retune = None
        _, _, holds = self.retunes.pop(0)
        return holds and not self.stopping

    def _ask(self) -> None:
        if self.retunes and self.clock.now_ns >= self.retunes[0][0]:
            self.retune = self.retunes[0][1]

    def pause(self, secs: float) -> None:
        self.before_blocking()
        self.pauses.append(secs)
        self.clock.now_ns += int(secs * 1e9)

    def until_writable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        raise AssertionError(f"a wait for descriptor {descriptor} in a test without any")

    def until_readable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        raise AssertionError(f"a wait for descriptor {descriptor} in a test without any")

    def may_block(self) -> bool:
        return False

    def cpu_ns(self) -> int:
        return self.clock.now_ns

    def report_stdout_closed(self) -> None:
        self.stdout_discards = True

    def log(self, level: int, message: str) -> None:
        self.lines.append(message)
