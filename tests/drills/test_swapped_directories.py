"""Drill: a directory that scenarios may write to is swapped for a link, again and again, between POST and open."""

import ctypes
import os
import threading
from pathlib import Path
from typing import Any, Self

from tests.conftest import StartServer
from tests.support.filling import body_of, steady

AT_FDCWD = -100
RENAME_EXCHANGE = 2
"""Source: renameat2(2), <linux/fs.h>."""

SWAPS = 1000
BODIES = 4
ENTRIES = 250


class Swapper:
    """Swaps `place`, a directory, for a link to `outside` and back, each at one instant, until the block is left.

    Attributes:
        count: how many times the link has been there.
    """

    def __init__(self, place: Path, outside: Path) -> None:
        self.count = 0
        self._link = place.with_name("link")
        self._link.symlink_to(outside)
        self._paths = (os.fsencode(place), os.fsencode(self._link))
        self._exchange = ctypes.CDLL(None, use_errno=True).renameat2
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        place, link = self._paths
        while not self._stopping.is_set():
            for _ in range(2):
                if self._exchange(AT_FDCWD, place, AT_FDCWD, link, RENAME_EXCHANGE):
                    raise OSError(ctypes.get_errno(), "renameat2")
            self.count += 1


def test_nothing_is_written_or_read_outside(start_server: StartServer, tmp_path: Path) -> None:
    """A thousand files are opened while the directory on their way is swapped: all are inside, or refused."""
    inside, outside = tmp_path / "root", tmp_path / "outside"
    place = inside / "place"
    for directory in (place, outside):
        directory.mkdir(parents=True)
        value = 1 if directory == place else 666
        (directory / "values.csv").write_text("t,v\n" + "".join(f"{second},{value}\n" for second in range(3)))
    server = start_server("--allow-path", str(inside))
    replay = {"type": "csv_replay", "file": f"{place}/values.csv"}
    replayed = server.launch(body_of(steady("replayed", generator=replay)))
    launched: list[dict[str, Any]] = []
    swapper = Swapper(place, outside)
    for body in range(BODIES):
        sinks = [{"type": "file", "path": f"{place}/{body}/{index}/lines"} for index in range(ENTRIES)]
        entries = [
            steady(f"s{index}", phase_offset="2s", duration="3s", isolation="shared", sink=sink)
            for index, sink in enumerate(sinks)
        ]
        launched += server.launch(body_of(*entries))
        with swapper:
            for _ in range(50):
                answer = server.post(body_of(steady("replayed", generator=replay)))
                replayed += [answer.json()] if answer.status_code == 201 else []
            for one in launched:
                server.wait_for_state(one["id"], "finished", 120)
    assert swapper.count >= SWAPS
    assert [path.name for path in outside.iterdir()] == ["values.csv"]
    opened = len(list(place.glob("*/*/lines")))
    refused = [one for one in launched if "exit_reason" in server.get(f"/scenarios/{one['id']}").json()]
    assert opened > 0
    assert refused
    assert len(refused) + opened >= len(launched)
    assert 1 < len(replayed) < 1 + 50 * BODIES
    for one in replayed:
        assert "v 666 " not in server.get(f"/scenarios/{one['id']}/metrics").text
