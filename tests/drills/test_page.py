"""The page over many scenarios, through a kill of its daemon, and for people who do not see it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import StartServer
from tests.support.backends.axe import serious_faults
from tests.support.browser import Visit, chromium
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, LiveServer
from tests.support.screenshots import take

SONDAD = COMMAND.replace("sonda-server", "sondad")
MANY = 1_000
MOST_ROWS = 80
POLL_MS = 50
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def body(first: int, number: int) -> dict[str, object]:
    """Scenarios that cost little, named by their places."""
    entries = [
        {"signal_type": "metrics", "name": f"slow_{place:04}", "generator": {"type": "constant", "value": 1}}
        for place in range(first, first + number)
    ]
    defaults = {"isolation": "shared", "rate": 0.5, "sink": {"type": "memory"}}
    return {"version": 2, "scenario_name": f"many-{first}", "defaults": defaults, "scenarios": entries}


@pytest.mark.timeout(240)
def test_a_thousand_rows_are_as_light_as_a_screenful(start_server: StartServer, browser: Browser) -> None:
    """Only what can be seen has elements, which are reused; a look is two requests, and there is none while hidden."""
    server = start_server("--per-worker", "250", "--max-scenarios", str(MANY))
    for first in (0, MANY // 2):
        server.launch(body(first, MANY // 2))
    visit = Visit(browser, server.url)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url.removeprefix(server.url)))
    page = visit.open()
    rows = page.locator("#rows-body tr")
    names = page.locator("#rows-body .name")
    expect(page.get_by_text("1,000 scenarios")).to_be_visible()
    expect(names.first).to_have_text("slow_0000")
    page.evaluate("() => { for (const row of document.querySelectorAll('#rows-body tr')) row.dataset.old = 'yes' }")
    several_looks(page, asked, 3)
    assert rows.count() < MOST_ROWS
    expect(page.locator("#rows-body tr:not([data-old])")).to_have_count(0)
    table = page.locator("#scenarios")
    expect(table).to_have_attribute("aria-rowcount", str(MANY + 1))
    page.locator("#rows").evaluate("rows => { rows.scrollTop = rows.scrollHeight }")
    expect(names.last).to_have_text(f"slow_{MANY - 1:04}")
    expect(rows.last).to_have_attribute("aria-rowindex", str(MANY + 1))
    assert rows.count() < MOST_ROWS
    page.get_by_role("columnheader", name="name", exact=True).get_by_role("button").click()
    page.get_by_role("columnheader", name="name", exact=True).get_by_role("button").click()
    page.locator("#rows").evaluate("rows => { rows.scrollTop = 0 }")
    expect(names.first).to_have_text(f"slow_{MANY - 1:04}")
    page.get_by_label("Filter by name, state, sink or id").fill("slow_099")
    expect(rows).to_have_count(10)
    # Beside the files of the page nothing else is asked for.
    assert {path for path in asked if not path.startswith("/ui/")} == {"/scenarios?stats=1", "/daemon"}
    hide(page, is_hidden=True)
    quiet = len(asked)
    server.get("/scenarios?stats=1")
    page.get_by_label("Filter by name, state, sink or id").fill("slow_0990")
    expect(rows).to_have_count(1)
    assert len(asked) <= quiet + 2, "at most the look that had begun"
    hide(page, is_hidden=False)
    several_looks(page, asked, 1)
    page.get_by_label("Filter by name, state, sink or id").fill("slow_0")
    page.get_by_role("button", name="Stop all…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Nothing runs.")).to_be_visible(timeout=120_000)
    visit.close()


def several_looks(page: Page, asked: list[str], number: int) -> None:
    """Wait until the page has asked for its rows that many more times."""
    until = asked.count("/scenarios?stats=1") + number
    while asked.count("/scenarios?stats=1") < until:
        page.wait_for_timeout(POLL_MS)


def hide(page: Page, *, is_hidden: bool) -> None:
    """Let the page believe that its tab is in the background, or not: a browser without a window has no background."""
    page.evaluate(
        "isHidden => { Object.defineProperty(document, 'hidden', {value: isHidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        is_hidden,
    )


def test_a_daemon_that_is_killed_and_comes_back(start_server: StartServer, browser: Browser, tmp_path: Path) -> None:
    """The page says so, keeps the text and the rows, and goes on by itself, with the scenarios that came back too."""
    state = ("--state-dir", str(tmp_path / "state"))
    server = start_server(*state)
    server.launch(body(0, 1))
    visit = Visit(browser, server.url)
    visit.refusals.add("ERR_")
    page = visit.open("start")
    area = page.get_by_label("Scenario, as YAML or JSON")
    area.fill("version: 2 # typed by hand")
    link = page.locator("#link")
    expect(link).to_have_text("connected")
    server.stop(signal.SIGKILL)
    expect(link).to_have_text("no answer")
    expect(page.get_by_role("alert")).to_contain_text("does not answer. It is asked again until it does")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#verdict")).to_contain_text("nothing you typed is lost")
    expect(area).to_have_value("version: 2 # typed by hand")
    page.get_by_role("link", name="Overview").click()
    row = page.get_by_role("row", name="slow_0000")
    expect(row).to_be_visible()
    start_server("--port", str(server.port), *state)
    expect(link).to_have_text("connected")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(row).to_contain_text("running")
    page.get_by_role("link", name="slow_0000").click()
    missed = page.locator(".part", has=page.get_by_role("heading", name="Missed ticks"))
    expect(missed.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Start").click()
    visit.refusals.add("400")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#verdict")).to_contain_text("mistake")
    expect(area).to_have_value("version: 2 # typed by hand")
    visit.close()


@pytest.fixture
def furnished(start_server: StartServer, tmp_path: Path) -> LiveServer:
    """A daemon that has something to show in every view."""
    relay = LiveRelay(tmp_path, clients_config(own()))
    server = start_server("--relay", str(relay.config), "--builtin-packs", command=(SONDAD, "serve"))
    for example in ("gates", "multi-scenario", "long-running-metrics"):
        server.launch((ROOT / "examples" / f"{example}.yaml").read_text().replace("stdout", "memory"))
    broken = {"type": "tcp", "address": "127.0.0.1:9"}
    server.launch({**body(0, 1), "defaults": {"rate": 5, "sink": broken}})
    return server


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 780}}], ids=str)
def test_no_view_keeps_anybody_out(furnished: LiveServer, browser: Browser, look: dict[str, object]) -> None:
    """axe finds nothing serious: names, roles, labels, contrast; light and dark, on a telephone, and in questions."""
    visit = Visit(browser, furnished.url, **look)
    visit.refusals.add("400")
    page = visit.open()
    expect(page.locator("#rows-body tr")).to_have_count(7)
    assert serious_faults(page) == []
    page.get_by_label("group by scenario_name").check()
    expect(page.locator("#rows-body .group")).to_have_count(3)
    assert serious_faults(page) == []
    page.get_by_role("button", name="Stop all…").click()
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    visit.open("start")
    area = page.get_by_label("Scenario, as YAML or JSON")
    expect(page.locator(".pick").first).to_be_visible()
    area.fill("version: 2\nscenarios: [{signal_type: metrics, rate: x}]\n")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("list", name="Mistakes")).to_be_visible()
    assert serious_faults(page) == []
    area.fill((ROOT / "examples/gates.yaml").read_text())
    expect(page.locator("#verdict")).to_contain_text("No mistakes")
    assert serious_faults(page) == []
    visit.open("gates")
    expect(page.locator("#graph .box")).to_have_count(3)
    assert serious_faults(page) == []
    visit.open("relay")
    expect(page.locator("#checks-body tr")).to_have_count(3)
    assert serious_faults(page) == []
    visit.open()
    page.get_by_role("link", name="slow_0000").click()
    expect(page.get_by_label("Configuration", exact=True)).to_contain_text("tcp")
    assert serious_faults(page) == []
    visit.close()


def test_the_pictures_of_the_documentation_can_be_taken(browser: Browser, tmp_path: Path) -> None:
    """`make screenshots` has a picture for each that docs/ shows."""
    (tmp_path / "daemon").mkdir()
    taken = {picture.name for picture in take(browser, tmp_path, tmp_path / "daemon", looks=2)}
    assert taken == {picture.name for picture in (ROOT / "docs/images").iterdir()}
