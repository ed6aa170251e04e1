"""`top`: the scenarios of a daemon on a live screen. Source: docs/command-line.md, "A running daemon"."""

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common.urls import shown_url
from supervisor.cli.daemon.client import Daemon, JsonObject
from supervisor.cli.daemon.tables import rate_now
from supervisor.cli.failures import OK, CommandError
from supervisor.cli.fetch import REDACTED
from supervisor.cli.running.words import bytes_text, elapsed_text

_REFRESH_SECS: Final = 1.0
_P99: Final = re.compile(rb'^sondad_tick_lateness_seconds\{[^}]*quantile="0\.99"[^}]*\} (\S+)$', re.MULTILINE)

_SORTS: Final[dict[str, tuple[str, Callable[[JsonObject], Any]]]] = {
    "n": ("name", lambda one: one["name"]),
    "r": ("rate", lambda one: -rate_now(one)),
    "t": ("rate below target", lambda one: rate_now(one) / one["target_rate"]),
    "e": ("errors", lambda one: -one["errors"]),
    "s": ("state", lambda one: one["state"]),
}
_QUIT: Final = ("q", "\x03", "")


def watch(daemon: Daemon) -> int:
    """Show the scenarios until `q`; returns the exit code.

    Raises:
        CommandError: there is no terminal, or no daemon any more.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("top needs a terminal; `sondad stats` prints the same once, `--json` for scripts")
    rows = daemon.figures()
    sort = "n"
    console = Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False)
    with _keys() as descriptor, Live(console=console, screen=True, auto_refresh=False) as live:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                rows = daemon.figures()
                late = _lateness(daemon)
                due = time.monotonic() + _REFRESH_SECS
            live.update(_screen(daemon, rows, late, sort, console.height), refresh=True)
            key = _key(descriptor, due - time.monotonic())
            if key in _QUIT:
                return OK
            sort = key if key in _SORTS else sort


@contextmanager
def _keys() -> Iterator[int]:
    """Let single keys be read, Ctrl-C among them, and put the terminal back as it was."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        mode = termios.tcgetattr(descriptor)
        mode[3] &= ~termios.ISIG
        termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(descriptor: int, timeout_secs: float) -> str | None:
    if not select.select([descriptor], [], [], max(timeout_secs, 0))[0]:
        return None
    return os.read(descriptor, 1).decode(errors="replace")


def _lateness(daemon: Daemon) -> str:
    found = _P99.search(daemon.request("GET", "/metrics?own=1").body)
    if found is None or found[1] == b"NaN":
        return "-"
    return f"{float(found[1]) * 1000:.2f} ms"


def _screen(daemon: Daemon, rows: list[JsonObject], late: str, sort: str, height: int) -> Group:
    name, key = _SORTS[sort]
    events = sum(rate_now(one) for one in rows)
    head = Text(
        f"{shown_url(daemon.url, REDACTED)}  scenarios: {len(rows)} | rate: {events:,.1f}/s | lateness p99: {late} | "
        f"sorted by {name}",
        no_wrap=True,
        overflow="ellipsis",
    )
    table = Table(box=None, pad_edge=False, expand=True)
    for heading in ("NAME", "STATE", "RATE", "TARGET", "EVENTS", "BYTES", "ERRORS", "ELAPSED"):
        table.add_column(heading, no_wrap=True, justify="left" if heading in ("NAME", "STATE") else "right")
    shown = sorted(rows, key=key)[: max(height - 4, 1)]
    for one in shown:
        table.add_row(*_cells(one), style=_style(one))
    left_out = f"; {len(rows) - len(shown)} more" if len(shown) < len(rows) else ""
    keys = Text(f"q quit | sort: n name, r rate, t below target, e errors, s state{left_out}", no_wrap=True)
    return Group(head, table, keys)


def _cells(one: JsonObject) -> tuple[str, ...]:
    tags = "".join(f" [{window}]" for window in ("gap", "burst") if one[f"in_{window}"])
    return (
        one["name"],
        f"{one['state']}{' degraded' if one['degraded'] else ''}{tags}".replace("[", "\\["),
        f"{one['current_rate']:,.1f}",
        f"{one['target_rate']:,g}",
        f"{one['total_events']:,}",
        bytes_text(one["bytes_emitted"]),
        str(one["errors"]),
        elapsed_text(one["uptime_secs"]),
    )


def _style(one: JsonObject) -> str:
    if one["degraded"] or one["errors"]:
        return "red"
    behind = one["state"] == "running" and rate_now(one) < 0.8 * one["target_rate"]
    return "yellow" if behind and not one["in_gap"] else ""
