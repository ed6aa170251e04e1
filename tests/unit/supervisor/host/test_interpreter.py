"""How a process of ours begins."""

import os
import socket
import subprocess
import sys

from supervisor.host.interpreter import command

MOST_COLLECTIONS = 10
"""Before its first own line; the interpreter by itself makes more than a hundred until all is imported."""

SHOW_COLLECTIONS = """\
import gc, sys
seen = []
gc.callbacks.append(lambda phase, info: seen.append(phase))
from supervisor.__main__ import compatible_main
sys.argv[1:] = {arguments!r}
try:
    compatible_main()
except SystemExit as exit:
    print(exit.code, len(seen), gc.get_freeze_count(), gc.get_threshold()[0], *sys.modules)
"""
NOT_AT_START = {"importlib.metadata", "supervisor.relay.config.reader", "rich", "click", "worker"}
"""What a daemon without a relay imports when it is asked for it, or never."""


def said(*arguments: str) -> list[str]:
    """The words that a process writes to its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SONDA_")}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return done.stdout.split()


def test_a_daemon_imports_what_it_serves_with_and_looks_for_no_cycles_in_it() -> None:
    """The search begins when all modules are there; they are looked at by no later collection either."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # So that it ends by itself, once everything is imported.
        arguments = ["--port", str(taken.getsockname()[1])]
        code, collections, frozen, threshold, *modules = said(
            sys.executable, "-c", SHOW_COLLECTIONS.format(arguments=arguments)
        )
    assert code == "1"
    assert "supervisor.http.app" in modules
    assert NOT_AT_START.isdisjoint(modules)
    assert int(collections) <= MOST_COLLECTIONS
    assert int(frozen) > 50_000
    assert int(threshold) <= 10_000


def test_a_further_process_looks_for_no_cycles_among_what_it_imports() -> None:
    """It begins with so high a threshold that importing much collects no more often than importing nothing."""
    counted = "__name__; print(gc.get_stats()[0]['collections'])"
    assert said(*command("worker.main", counted)) == said(*command("gc", counted))
