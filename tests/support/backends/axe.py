"""axe-core: what keeps people who do not see, or use no pointer, from using a page."""

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

FETCH_SCRIPT = Path(__file__).with_name("fetch-axe")
FETCH_SECS = 120
_SERIOUS = ("serious", "critical")


@functools.cache
def axe() -> str:
    """Return the library's text, fetched when it is not there; without npm the test is skipped."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches axe-core; Debian has no package of it")
    fetched = subprocess.run([FETCH_SCRIPT], stdout=subprocess.PIPE, text=True, timeout=FETCH_SECS, check=True)
    return Path(fetched.stdout.strip()).read_text()


def serious_faults(page: Page) -> list[str]:
    """Return what axe finds on a page as it is now, one line for each element: the rule, and where it is broken."""
    # By the debugger: the page's own policy lets nobody evaluate a text.
    debugger = page.context.new_cdp_session(page)
    _evaluate(debugger, axe())
    found = _evaluate(debugger, "axe.run({resultTypes: ['violations']})")
    debugger.detach()
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
        if rule["impact"] in _SERIOUS
    ]


def _evaluate(debugger: Any, expression: str) -> Any:
    answer = debugger.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")
