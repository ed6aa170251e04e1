"""The measured rate. Source: docs/http.md, "Stats"."""

import pytest

from worker.ticks.rate import RateWindow

NS = 1_000_000_000


def test_no_rate_before_the_first_window_has_closed() -> None:
    """0.0 for the whole first second."""
    window = RateWindow()
    for k in range(100):
        window.count(1, k * NS // 100)
    assert window.events_per_sec == 0.0


def test_one_tick_at_a_time() -> None:
    """A window counts the ticks after the one that opened it, the closing one included, over its exact length."""
    window = RateWindow()
    for k in range(101):
        window.count(1, k * NS // 100)
    assert window.events_per_sec == pytest.approx(100.0)


def test_batches_do_not_bias_the_rate() -> None:
    """Batches of 250 every 250 us measure a million a second."""
    window = RateWindow()
    for k in range(8001):
        window.count(250, k * 250_000)
    assert window.events_per_sec == pytest.approx(1_000_000.0, rel=1e-3)


def test_below_one_a_second_a_window_is_one_interval() -> None:
    """A tick every four seconds measures 0.25."""
    window = RateWindow()
    window.count(1, 0)
    window.count(1, 4 * NS)
    assert window.events_per_sec == 0.25


def test_failed_ticks_neither_count_nor_close_a_window() -> None:
    """Only a delivered tick closes a window; a window that opened with a failed one counts all that follow."""
    window = RateWindow()
    window.count(0, 0)
    window.count(2, NS // 2)
    window.count(0, 2 * NS)
    assert window.events_per_sec == 0.0
    window.count(1, 4 * NS)
    assert window.events_per_sec == 0.75
