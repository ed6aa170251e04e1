"""Measures the page in a real browser: from a click on "Start" to the row, and what an open page costs the daemon.

.venv/bin/python tests/bench/bench_page.py [--secs 20] [--scenarios 1000] [--starts 10]
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, expect
from served import Served, entry

from tests.support.browser import Visit, chromium

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /"
CONSTANT = {"type": "constant", "value": 42.0}
NULL = {"type": "file", "path": "/dev/null"}
LARGEST_BODY = 500
TEXT = """\
version: 2
scenarios:
  - {{signal_type: metrics, name: started_{}, rate: 1, generator: {{type: constant, value: 1}}, sink: {{type: memory}}}}
"""


def started_secs(page: Page, number: int) -> float:
    """Return how long it takes from the click until the row can be seen."""
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_label("Scenario, as YAML or JSON").fill(TEXT.format(number))
    button = page.get_by_role("button", name="Start", exact=True)
    begin = time.perf_counter()
    button.click()
    expect(page.get_by_role("link", name=f"started_{number}", exact=True)).to_be_visible()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the page")
    parser.add_argument("--secs", type=int, default=20, help="how long the page is open")
    parser.add_argument("--scenarios", type=int, default=1000, help="how many scenarios it shows")
    parser.add_argument("--starts", type=int, default=10, help="how many are started in it")
    options = parser.parse_args()
    with Served(OURS) as server, chromium() as browser:
        visit = Visit(browser, f"http://127.0.0.1:{server.port}")
        page = visit.open()
        starts = sorted(started_secs(page, number) for number in range(options.starts))
        middle, longest = starts[len(starts) // 2], starts[-1]
        print(f"from the click to the row: median {middle:.2f} s, longest {longest:.2f} s (<= 1.5 s)")
        for first in range(0, options.scenarios, LARGEST_BODY):
            places = range(first, min(first + LARGEST_BODY, options.scenarios))
            server.post(*(entry(f"p{place}", CONSTANT, 1, NULL, isolation="shared") for place in places))
        visit.open()
        expect(page.get_by_text(f"{options.scenarios + options.starts:,} scenarios")).to_be_visible()
        before, begin = server.own_cpu_secs(), time.monotonic()
        page.wait_for_timeout(options.secs * 1000)
        cost = (server.own_cpu_secs() - before) / (time.monotonic() - begin)
        page.goto("about:blank")
        before, begin = server.own_cpu_secs(), time.monotonic()
        page.wait_for_timeout(options.secs * 1000)
        idle = (server.own_cpu_secs() - before) / (time.monotonic() - begin)
        print(f"the daemon with the page open: {cost:.1%} of a core (< 5 %), {idle:.1%} without")


if __name__ == "__main__":
    main()
