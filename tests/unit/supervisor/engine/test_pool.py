"""The pool as a pure machine: workers are plain objects, time is a number."""

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from supervisor.engine.control_plane import LaunchError
from supervisor.engine.pool import REFUSING_FAILURES, TOLERATED_FAILURES, Pool

SECOND_NS = 1_000_000_000


@dataclass(eq=False)
class ParkedWorker:
    """What a started process is to the pool."""

    row: int


class Starter:
    """Starts workers, or refuses as a full process table would."""

    def __init__(self) -> None:
        self.refusing = False
        self.started: list[ParkedWorker] = []

    def __call__(self, row: int) -> ParkedWorker:
        if self.refusing:
            raise LaunchError("cannot start a worker: no more processes")
        self.started.append(ParkedWorker(row))
        return self.started[-1]


def _pool(starter: Starter, rows: int = 100, spares_wanted: int = 4, starting_limit: int = 2) -> Pool[ParkedWorker]:
    return Pool(starter, rows=rows, spares_wanted=spares_wanted, starting_limit=starting_limit)


def _start_all_due(pool: Pool[ParkedWorker], now_ns: int, waiting: int = 0, busy: bool = False) -> list[ParkedWorker]:
    started = []
    while pool.due_ns(now_ns, waiting=waiting, busy=busy) == now_ns:
        worker = pool.start_one(now_ns)
        if worker is not None:
            started.append(worker)
    return started


def _fill(pool: Pool[ParkedWorker], now_ns: int = 0, waiting: int = 0) -> None:
    while workers := _start_all_due(pool, now_ns, waiting):
        for worker in workers:
            pool.ready(worker)


def test_fills_up_to_the_wanted_spares() -> None:
    """Without anything to do the pool holds exactly the wanted number of parked workers."""
    starter = Starter()
    pool = _pool(starter)
    _fill(pool)
    assert len(pool.spares) == 4
    assert len(starter.started) == 4
    assert pool.due_ns(5, waiting=0, busy=False) is None


def test_starts_at_most_the_limit_at_once() -> None:
    """No more workers than the limit are starting, however many are missing."""
    starter = Starter()
    pool = _pool(starter, starting_limit=3)
    assert len(_start_all_due(pool, 0, waiting=50)) == 3
    pool.ready(starter.started[0])
    assert len(_start_all_due(pool, 0, waiting=50)) == 1


def test_demand_is_served_before_spares_are_refilled() -> None:
    """While a body is being launched only what it waits for is started; spares are refilled afterwards."""
    starter = Starter()
    pool = _pool(starter, starting_limit=10)
    assert len(_start_all_due(pool, 0, waiting=3, busy=True)) == 3
    assert pool.due_ns(0, waiting=3, busy=True) is None
    assert len(_start_all_due(pool, 0, waiting=3, busy=False)) == 4


def test_takes_the_longest_parked() -> None:
    """Spares are handed out in the order in which they were parked."""
    pool = _pool(Starter())
    _fill(pool)
    first, second = pool.spares[:2]
    assert pool.take() is first
    assert pool.take() is second
    assert len(pool.spares) == 2


def test_a_used_worker_is_used_again_first() -> None:
    """The others stay untouched; beyond twice the wanted number there are enough, and nothing is started for it."""
    pool = _pool(Starter(), spares_wanted=2)
    _fill(pool)
    used, other = pool.spares
    assert pool.take() is used
    _fill(pool)
    assert pool.park(used)
    assert pool.take() is used
    assert pool.park(used)
    assert pool.spares[1] is other
    assert pool.park(ParkedWorker(90))
    assert not pool.park(ParkedWorker(91))
    assert pool.due_ns(0, waiting=0, busy=False) is None


def test_nothing_to_take() -> None:
    """An empty pool has no worker to give."""
    assert _pool(Starter()).take() is None


def test_a_lost_spare_is_replaced_at_once() -> None:
    """One spare that dies is no storm: its row is free again and the next worker starts without delay."""
    pool = _pool(Starter(), rows=4)
    _fill(pool)
    victim = pool.spares[0]
    assert pool.lost(victim, "killed by signal 9 (SIGKILL)", 5)
    assert victim not in pool.spares
    replacement = _start_all_due(pool, 5)
    assert [worker.row for worker in replacement] == [victim.row]


def test_spares_are_refilled_a_moment_after_a_start() -> None:
    """Unless fewer than half are left, or another body waits."""
    pool = _pool(Starter())
    _fill(pool)
    pool.take()
    assert pool.due_ns(SECOND_NS, waiting=0, busy=True) is None
    due_ns = pool.due_ns(SECOND_NS, waiting=0, busy=False)
    assert due_ns is not None
    assert due_ns > SECOND_NS
    assert _start_all_due(pool, SECOND_NS) == []
    assert pool.due_ns(due_ns, waiting=0, busy=False) == due_ns
    assert pool.due_ns(SECOND_NS, waiting=4, busy=False) == SECOND_NS
    for _ in range(2):
        pool.take()
    assert pool.due_ns(SECOND_NS, waiting=0, busy=False) == SECOND_NS


def test_a_taken_worker_that_ends_is_no_failure() -> None:
    """Workers given up after they were taken say nothing about the pool's health."""
    pool = _pool(Starter())
    for round_ in range(20):
        _fill(pool, now_ns=round_)
        worker = pool.take()
        assert worker is not None
        assert not pool.lost(worker, "given up", round_)
    assert pool.refusal(20) is None


def test_crash_loop_backs_off() -> None:
    """Workers that keep dying are started ever more slowly, with at most ten seconds between two starts."""
    starter = Starter()
    pool = _pool(starter, spares_wanted=1, starting_limit=1)
    now_ns, delays = 0, []
    for _ in range(20):
        due_ns = pool.due_ns(now_ns, waiting=0, busy=False)
        assert due_ns is not None
        delays.append(due_ns - now_ns)
        now_ns = due_ns
        worker = pool.start_one(now_ns)
        assert worker is not None
        pool.lost(worker, "ended with exit code 1", now_ns)
    assert delays[: TOLERATED_FAILURES + 1] == [0] * (TOLERATED_FAILURES + 1)
    assert delays[TOLERATED_FAILURES + 1 : TOLERATED_FAILURES + 4] == [200_000_000, 400_000_000, 800_000_000]
    assert max(delays) <= 10 * SECOND_NS
    assert now_ns > 30 * SECOND_NS


def test_refuses_with_the_last_reason_and_recovers() -> None:
    """When nothing can be started bodies are refused with the reason; the first worker ends that."""
    starter = Starter()
    starter.refusing = True
    pool = _pool(starter)
    now_ns = 0
    while pool.refusal(now_ns) is None:
        due_ns = pool.due_ns(now_ns, waiting=1, busy=True)
        assert due_ns is not None
        now_ns = max(now_ns, due_ns)
        assert pool.start_one(now_ns) is None
    assert pool.refusal(now_ns) == "cannot start a worker: no more processes"
    assert now_ns < SECOND_NS
    assert pool.room() == 100
    starter.refusing = False
    due_ns = pool.due_ns(now_ns, waiting=1, busy=True)
    assert due_ns is not None
    assert pool.refusal(due_ns) is None
    worker = pool.start_one(due_ns)
    assert worker is not None
    assert pool.refusal(now_ns) is None


def test_a_limit_is_no_failure() -> None:
    """Spares are tried again after a second, workers that a body waits for at once; nothing is started meanwhile."""
    starter = Starter()
    full = "the limit of processes"
    reasons: list[str | None] = [full, full, None]
    pool = Pool(starter, lambda: reasons.pop(0), rows=9, spares_wanted=1, starting_limit=1)
    assert pool.start_one(5) is None
    assert pool.short == full
    assert pool.refusal(5) is None
    assert pool.due_ns(5, waiting=0, busy=False) == 5 + SECOND_NS
    assert pool.due_ns(5, waiting=1, busy=True) == 5
    assert pool.start_one(6) is None
    assert (starter.started, pool.room()) == ([], 9)
    assert pool.start_one(7) is not None
    assert pool.short is None


def test_old_failures_are_forgotten() -> None:
    """After a quiet window the pool starts without delay again."""
    starter = Starter()
    pool = _pool(starter, spares_wanted=1)
    for _ in range(REFUSING_FAILURES):
        worker = pool.start_one(0)
        assert worker is not None
        pool.lost(worker, "died", 0)
    assert pool.due_ns(1, waiting=0, busy=False) != 1
    later_ns = 31 * SECOND_NS
    assert pool.due_ns(later_ns, waiting=0, busy=False) == later_ns
    assert pool.refusal(later_ns) is None


def test_without_rows_nothing_is_started() -> None:
    """When every row of the board is taken there is no room and nothing is due."""
    pool = _pool(Starter(), rows=3)
    _fill(pool)
    assert pool.room() == 3
    taken = [pool.take() for _ in range(3)]
    assert pool.room() == 0
    assert pool.due_ns(0, waiting=1, busy=True) is None
    assert taken[1] is not None
    pool.give_back(taken[1].row)
    assert pool.room() == 1
    assert pool.due_ns(0, waiting=1, busy=True) == 0


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_rows_are_never_lost_nor_shared(seed: int, rows: int) -> None:
    """Whatever happens in whatever order, every row belongs to exactly one worker or is free."""
    choice = random.Random(seed)
    starter = Starter()
    pool = _pool(starter, rows=rows, starting_limit=3)
    taken: list[ParkedWorker] = []
    for now_ns in range(60):
        starter.refusing = choice.random() < 0.2
        _start_all_due(pool, now_ns, waiting=choice.randrange(3))
        for worker in list(pool.starting):
            match choice.randrange(3):
                case 0:
                    pool.ready(worker)
                case 1:
                    pool.lost(worker, "died", now_ns)
        if choice.random() < 0.5 and (worker := pool.take()) is not None:
            taken.append(worker)
        if taken and choice.random() < 0.5:
            worker = taken.pop()
            if choice.random() < 0.5 or not pool.park(worker):
                pool.give_back(worker.row)
        held = [worker.row for worker in (*pool.starting, *pool.spares, *taken)]
        assert len(held) == len(set(held))
        assert pool.room() == rows - len(taken)
