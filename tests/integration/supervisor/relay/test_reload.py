"""A reload on a real loop: what else there is to do does not wait for its end."""

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.host.loop import Loop
from supervisor.relay.config.reader import ConfigError, load
from supervisor.relay.config.records import Config
from supervisor.relay.reload import Reloader

STEPS = 20


class Reloaded:
    """A reloader of a file, the steps it has applied, and how its reloads ended."""

    def __init__(self, path: Path) -> None:
        path.write_text(f"version: 1\nclients: {{a: {{uid: {os.geteuid()}}}}}\n")
        self.path = path
        self.applied = 0
        self.counted: list[str] = []
        self.ends: list[str | None] = []
        self.loop = Loop()
        self.reloader = Reloader(self.loop, lambda: load(str(path)), self._apply, self.counted.append)

    def _apply(self, _config: Config) -> Iterator[None]:
        for _ in range(STEPS):
            self.applied += 1
            until = time.monotonic() + 0.002
            while time.monotonic() < until:
                pass
            yield


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    made = Reloaded(tmp_path / "relay.yaml")
    yield made
    made.loop.close()


def test_other_callbacks_run_between_the_steps(reloaded: Reloaded) -> None:
    """Of steps that take long no more than two are taken in a turn of the loop; a report waits for no more."""
    seen: list[int] = []
    reloaded.reloader.request(reloaded.ends.append)
    while not reloaded.ends:
        reloaded.loop.soon(lambda: seen.append(reloaded.applied))
        reloaded.loop.turn()
    assert (reloaded.ends, reloaded.counted) == ([None], ["ok"])
    assert max(later - earlier for earlier, later in itertools.pairwise([*seen, STEPS])) <= 2


def test_reloads_are_made_one_after_the_other(reloaded: Reloaded) -> None:
    """Whoever asks during a reload is told about the next one, which has read the file again."""
    reloaded.reloader.request(reloaded.ends.append)
    while not reloaded.applied:
        reloaded.loop.turn()
    reloaded.path.write_text("version: 2\n")
    reloaded.reloader.request(reloaded.ends.append)
    while len(reloaded.ends) < 2:
        reloaded.loop.turn()
    assert reloaded.applied == STEPS
    assert reloaded.ends == [None, f"{reloaded.path}:1:10: version: expected 1, found 2"]
    assert reloaded.counted == ["ok", "error"]


def test_a_relay_that_stops_applies_nothing_more(reloaded: Reloaded) -> None:
    """The reload in progress ends where it is."""
    reloaded.reloader.request(reloaded.ends.append)
    while not reloaded.applied:
        reloaded.loop.turn()
    reloaded.reloader.stop()
    while not reloaded.ends:
        reloaded.loop.turn()
    assert reloaded.applied < STEPS
    assert reloaded.ends == ["the relay is stopping"]


def test_every_fault_is_told(reloaded: Reloaded) -> None:
    """What is wrong with the file is what a start would say."""
    reloaded.path.write_text("version: 1\nother: 1\nspool: {sync: x}\n")
    with pytest.raises(ConfigError) as refused:
        load(str(reloaded.path))
    reloaded.reloader.request(reloaded.ends.append)
    while not reloaded.ends:
        reloaded.loop.turn()
    assert reloaded.ends == [str(refused.value)]
    assert reloaded.applied == 0
