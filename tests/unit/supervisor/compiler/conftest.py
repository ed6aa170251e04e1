"""Compiling what no worker runs yet."""

import pytest

from supervisor.compiler.language import availability


@pytest.fixture
def everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every kind through that has a plan, whether workers run it or not."""
    monkeypatch.setattr(
        availability, "NOT_YET_RUNNABLE", dict.fromkeys(availability.NOT_YET_RUNNABLE, frozenset[str]())
    )
