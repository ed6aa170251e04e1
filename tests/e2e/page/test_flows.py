"""What people do with the page: start, watch, mend, stop. Real browser, real daemon."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.conftest import StartServer
from tests.e2e.page.conftest import OpenPage
from tests.support.browser import Visit
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

STEADY = """\
version: 2
scenario_name: {group}
defaults: {{rate: 50, sink: {{type: memory}}}}
scenarios:
  - {{signal_type: metrics, name: cpu_usage, generator: {{type: sine, amplitude: 5, period_secs: 10, offset: 50}}}}
  - {{signal_type: metrics, name: requests_total, generator: {{type: step, step_size: 1}}}}
"""
THREE_MISTAKES = """\
version: 2
defaults: {rate: 10, sink: {type: memory}}
scenarios:
  - signal_type: metrics
    name: cpu_usage
    generator: {type: sine, amplitud: 5, amplitude: 5, period_secs: 10, offset: 0}
  - signal_type: metrics
    name: errors_total
    rate: fast
    generator: {type: stepp, step_size: 1}
"""
MENDED = THREE_MISTAKES.replace("amplitud: 5, ", "").replace("fast", "5").replace("stepp", "step")
GATED = """\
version: 2
scenario_name: network
defaults: {rate: 20, duration: 5m, sink: {type: memory}}
scenarios:
  - id: link
    signal_type: metrics
    name: link
    rate: 1
    generator: {type: sequence, values: [0, 0, 1, 1], repeat: true}
  - id: traffic
    signal_type: metrics
    name: traffic
    generator: {type: constant, value: 1}
    while: {ref: link, op: ">", value: 0.5}
  - id: late
    signal_type: metrics
    name: late
    generator: {type: constant, value: 1}
    after: {ref: link, op: ">", value: 0.5}
"""
MEMORY = {"sink": {"type": "memory"}}
LOGS = {"type": "template", "templates": [{"message": "<b>ready</b>"}]}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\u202egnp.exe\u202c",
    "\u2066\u200f\u0627\u0644\u0639\u0631\u0628\u064a\u0629 {{constructor}} $(7)",
]


def row(page: Page, name: str) -> Locator:
    """The row of a scenario in the overview."""
    return page.locator("#rows-body tr", has=page.get_by_role("link", name=name, exact=True))


def write(page: Page, text: str) -> None:
    page.get_by_label("Scenario, as YAML or JSON").fill(text)


def picture(canvas: Locator) -> str:
    return canvas.evaluate("canvas => canvas.toDataURL()")


def test_an_example_is_started_watched_and_stopped(visit: Visit) -> None:
    """From the address that people type to the last question; its figures and its plots move meanwhile."""
    page = visit.page
    page.goto(visit.url)
    expect(page).to_have_url(f"{visit.url}/ui/")
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    page.get_by_role("link", name="Start").click()
    page.get_by_label("Filter examples, catalog and packs").fill("long-running")
    page.get_by_role("button", name="long-running-metrics").click()
    expect(page.get_by_label("Scenario, as YAML or JSON")).to_have_value(re.compile("generator"))
    page.get_by_role("button", name="Start", exact=True).click()
    started = row(page, "http_requests_per_second")
    expect(started).to_be_visible()
    expect(page.get_by_text("Started http_requests_per_second.")).to_be_visible()
    expect(started.locator(".state")).to_have_text("running")
    before = picture(started.locator("canvas"))
    wait_until(lambda: picture(started.locator("canvas")) != before, "the line moves")
    started.get_by_role("link").click()
    plot = page.get_by_role("img", name="Events per second")
    expect(plot).to_have_attribute("aria-label", re.compile(r"latest: measured [\d.]+, target 1\.0"))
    drawn = picture(plot.locator("canvas"))
    wait_until(lambda: picture(plot.locator("canvas")) != drawn, "the plot moves")
    expect(page.get_by_label("Recent samples")).to_contain_text("http_requests_per_second{")
    expect(page.get_by_label("Prometheus scrape configuration")).to_contain_text("metrics_path: ")
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped 1 scenario.")).to_be_visible()
    expect(started).to_have_count(0)


def test_three_mistakes_are_marked_at_their_lines_and_mended(visit: Visit) -> None:
    """Each with its words and its hint; marks go as mistakes go, the text stays, and then it starts."""
    page = visit.open("start")
    visit.refusals.add("400")
    write(page, THREE_MISTAKES)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#verdict")).to_have_text("The text has 3 mistakes.")
    faults = page.get_by_role("list", name="Mistakes").get_by_role("listitem")
    expect(faults).to_have_count(3)
    expect(page.locator(".band")).to_have_count(3)
    for line, words in ((6, "did you mean `amplitude`?"), (9, "fast"), (10, "did you mean `step`?")):
        expect(faults.filter(has_text=f"line {line}")).to_contain_text(words)
    page.get_by_role("button", name="line 9").click()
    area = page.get_by_label("Scenario, as YAML or JSON")
    expect(area).to_be_focused()
    expect(area).to_have_attribute("aria-invalid", "true")
    assert area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "fast"
    write(page, MENDED)
    expect(page.locator("#verdict")).to_have_text("No mistakes: 2 scenarios would start.")
    expect(page.locator(".band")).to_have_count(0)
    expect(page.get_by_role("img", name="Preview")).to_have_count(2)
    area.press("Control+Enter")
    expect(row(page, "errors_total")).to_be_visible()
    expect(row(page, "cpu_usage")).to_be_visible()


def test_one_a_group_and_all_are_stopped_after_one_question(visit: Visit, shared_server: LiveServer) -> None:
    """Nothing is stopped when the answer is no; the filter says what "all" is."""
    for group in ("shop", "bank"):
        shared_server.launch(STEADY.format(group=group))
    page = visit.open()
    rows = page.locator("#rows-body tr")
    dialog = page.get_by_role("dialog")
    expect(rows).to_have_count(4)
    rows.first.get_by_role("button", name="stop cpu_usage").click()
    expect(dialog).to_contain_text("Stop cpu_usage?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(rows).to_have_count(4)
    page.get_by_label("group by scenario_name").check()
    expect(rows).to_have_count(6)
    page.get_by_role("button", name="bank", exact=True).click()
    expect(rows).to_have_count(4)
    page.get_by_role("button", name="stop all 2 scenarios of bank").click()
    dialog.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped 2 scenarios.")).to_be_visible()
    expect(rows).to_have_count(3)
    page.get_by_label("group by scenario_name").uncheck()
    page.keyboard.press("/")
    page.keyboard.type("requests")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("button", name="Stop these 1…")).to_be_visible()
    page.get_by_label("Filter by name, state, sink or id").fill("")
    page.get_by_role("button", name="Stop all…").click()
    expect(dialog).to_contain_text("Stop all 2 scenarios?")
    dialog.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    assert shared_server.get("/scenarios").json() == {"scenarios": []}


def test_rows_are_sorted_by_a_column(visit: Visit, shared_server: LiveServer) -> None:
    """Largest first, smallest first, and in order of launch again; the head says which."""
    shared_server.launch(STEADY.format(group="shop").replace("name: requests_total", "name: requests_total, rate: 90"))
    page = visit.open()
    names = page.locator("#rows-body .name")
    target = page.get_by_role("columnheader", name="target")
    for order, direction in (
        (["requests_total", "cpu_usage"], "descending"),
        (["cpu_usage", "requests_total"], "ascending"),
    ):
        target.get_by_role("button").click()
        expect(names).to_have_text(order)
        expect(target).to_have_attribute("aria-sort", direction)
    target.get_by_role("button").click()
    expect(names).to_have_text(["cpu_usage", "requests_total"])
    expect(target).not_to_have_attribute("aria-sort", "ascending")


def test_names_full_of_markup_and_bidi_marks_are_texts(visit: Visit, shared_server: LiveServer) -> None:
    """In the table, in its own view, in a question, in the snippet: shown as they are, and never run."""
    entries = [
        {"signal_type": "logs", "name": name, "rate": 5, "labels": {"note": name}, "log_generator": LOGS}
        for name in HOSTILE
    ]
    shared_server.launch({"version": 2, "scenario_name": HOSTILE[0], "defaults": MEMORY, "scenarios": entries})
    page = visit.open()
    expect(page.locator("#rows-body .name a")).to_have_text(HOSTILE)
    page.get_by_label("group by scenario_name").check()
    expect(page.locator("#rows-body .toggle")).to_have_text(HOSTILE[0])
    for name in HOSTILE:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator("#detail-title")).to_have_text(name)
        expect(page.get_by_label("Configuration", exact=True)).to_contain_text("log_generator")
        page.get_by_role("button", name="Stop…").click()
        expect(page.locator("#ask-question")).to_have_text(f"Stop {name}?")
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Overview").click()


def test_a_gate_opens_and_closes(visit: Visit, shared_server: LiveServer) -> None:
    """The graph follows without being drawn anew, and says the same in words."""
    shared_server.launch(GATED)
    page = visit.open("gates")
    expect(page.locator("#graph .box")).to_have_count(3)
    arrow = page.locator("path.arrow:not(.after)")
    expect(arrow).to_have_class("arrow closed")
    arrow.evaluate("arrow => { arrow.dataset.seen = 'yes' }")
    expect(page.get_by_text("traffic: while link > 0.5, now closed")).to_be_visible()
    expect(arrow).to_have_class("arrow open")
    expect(page.get_by_text("traffic: while link > 0.5, now open")).to_be_visible()
    expect(page.locator("path.arrow.after")).to_have_count(1)
    expect(arrow).to_have_class("arrow closed")
    expect(arrow).to_have_attribute("data-seen", "yes")
    page.get_by_role("link", name="traffic").click()
    expect(page.locator("#detail-title")).to_have_text("traffic")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    """From the skip link to the last question, without a pointer; the focus is never lost."""
    page = visit.open()
    keys = page.keyboard
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    focused = page.locator(":focus")
    for name in ("Skip to the content", "sondad", "Overview", "Start"):
        keys.press("Tab")
        expect(focused).to_have_accessible_name(name)
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Start a scenario")).to_be_focused()
    expect(page.locator(".pick").first).to_be_visible()
    for name in ("Filter examples, catalog and packs", re.compile("^backfill")):
        keys.press("Tab")
        expect(focused).to_have_accessible_name(name)
    keys.press("ArrowDown")
    expect(focused).to_have_accessible_name(re.compile("^basic-metrics"))
    keys.press("Tab")
    expect(focused).to_have_accessible_name("Scenario, as YAML or JSON")
    keys.insert_text(STEADY.format(group="keys"))
    keys.press("Control+Enter")
    expect(page.get_by_role("heading", name="Scenarios")).to_be_focused()
    expect(row(page, "requests_total")).to_be_visible()
    while focused.get_attribute("id") != "rows":
        keys.press("Tab")
        expect(focused).to_have_count(1)
    for key, name in (("ArrowDown", "cpu_usage"), ("End", "requests_total"), ("Home", "cpu_usage")):
        keys.press(key)
        expect(focused).to_have_accessible_name(name)
    keys.press("Tab")
    expect(focused).to_have_accessible_name("stop cpu_usage")
    keys.press("Enter")
    expect(focused).to_have_accessible_name("Cancel")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_text("Stopped 1 scenario.")).to_be_visible()
    assert not focused.evaluate("element => element === document.body")
    keys.press("ArrowDown")
    expect(focused).to_have_accessible_name("requests_total")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="requests_total")).to_be_focused()


def test_a_scenario_is_changed_while_it_runs(visit: Visit, shared_server: LiveServer) -> None:
    """Only what differs is sent; a value that cannot be is named, and what was typed stays."""
    started, _ = shared_server.launch(STEADY.format(group="shop"))
    visit.refusals.add("422")
    page = visit.open(f"scenario/{started['id']}")
    form = page.get_by_role("form", name="Change while it runs")
    verdict = form.get_by_role("status")
    form.get_by_role("button", name="Apply").click()
    expect(verdict).to_have_text("Nothing is different.")
    form.get_by_label("rate", exact=True).fill("-1")
    form.get_by_role("button", name="Apply").click()
    expect(verdict).to_contain_text("rate: ")
    expect(form.get_by_label("rate", exact=True)).to_have_value("-1")
    form.get_by_label("rate", exact=True).fill("7")
    form.get_by_label("generator.amplitude").fill("3")
    form.get_by_label("Name of a new label").fill("zone")
    form.get_by_label("Value of the new label").fill("b")
    form.get_by_role("button", name="Apply").click()
    expect(verdict).to_contain_text("Changed from tick ")
    expect(page.get_by_role("img", name="Events per second")).to_have_attribute(
        "aria-label", re.compile(r"target 7\.0$")
    )
    expect(page.get_by_label("Configuration", exact=True)).to_contain_text('"zone": "b"')
    changes = page.locator(".part", has=page.get_by_role("heading", name="Changes while it ran"))
    expect(changes).to_contain_text('"amplitude":3')
    form.get_by_label("labels.zone").fill("")
    form.get_by_label("Name of a new label").fill("")
    form.get_by_role("button", name="Apply").click()
    expect(page.get_by_label("Configuration", exact=True)).not_to_contain_text("zone")
    assert shared_server.get(f"/scenarios/{started['id']}").json()["config"]["rate"] == 7.0


def test_a_pack_and_a_file_of_the_catalog_are_ready_to_start(
    start_server: StartServer, visit_to: OpenPage, tmp_path: Path
) -> None:
    """A pack comes as a text that uses it; what was typed is replaced after a question only."""
    (tmp_path / "nightly.yaml").write_text("kind: runnable\n" + STEADY.format(group="nightly"))
    page = visit_to(start_server("--builtin-packs", "--catalog", str(tmp_path))).open("start")
    area = page.get_by_label("Scenario, as YAML or JSON")
    page.get_by_role("button", name="nightly").click()
    expect(area).to_have_value(re.compile("scenario_name: nightly"))
    page.get_by_role("button", name="if_mib").click()
    expect(area).to_have_value(re.compile('pack: "if_mib"'))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#verdict")).to_contain_text("No mistakes")
    area.fill("typed: by hand")
    page.get_by_role("button", name="nightly").click()
    expect(page.get_by_role("dialog")).to_contain_text("Replace the text?")
    page.keyboard.press("Escape")
    expect(area).to_have_value("typed: by hand")


def test_a_scenario_that_is_not_there_is_said_not_to_be(visit: Visit) -> None:
    """For a link that somebody kept."""
    visit.refusals.add("404")
    page = visit.open("scenario/nope")
    expect(page.get_by_text("There is no such scenario")).to_be_visible()
