"""A store whose files the kernel says nothing about: they are compared at every commit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from supervisor.relay.ledger.changes import Changes
from supervisor.relay.ledger.files import StoreError
from supervisor.relay.ledger.store import FILE_NAME, Store
store = Store(sys.argv[1])
print(store.descriptor)
for number in range(3):
    store.write(Changes(probe_ms=number + 1), sync=False)
with Path(sys.argv[1], f"{FILE_NAME}{sys.argv[2]}").open("r+b") as file:
    file.write(file.read(32))
try:
    store.write(Changes(probe_ms=9), sync=False)
except StoreError as exc:
    print(exc)
store.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take the watches away from a process")
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_without_watches_every_commit_looks_at_the_files(tmp_path: Path, suffix: str) -> None:
    """Where a user may watch no more files, a write by somebody else is refused at the next commit all the same."""
    without = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", without, "-", sys.executable, "-c", SCRIPT]
    done = subprocess.run([*command, str(tmp_path), suffix], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["None", f"{tmp_path}/relay.db{suffix} was written to by another process"]
