"""What the page says when the daemon says no: a plain sentence for each kind of answer, and no typed text is lost."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import StartServer
from tests.e2e.page.conftest import OpenPage
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, LiveServer
from tests.support.processes import freeze, titled
from tests.support.scripted_parent import ScriptedParent, reply

SONDAD = COMMAND.replace("sonda-server", "sondad")
ONE = """\
version: 2
scenario_name: one
scenarios:
  - {signal_type: metrics, name: one, rate: 5, generator: {type: constant, value: 1}, sink: {type: memory}}
"""


@pytest.fixture
def small(start_server: StartServer) -> LiveServer:
    """A daemon that soon has enough."""
    return start_server("--max-scenarios", "1", "--max-body-bytes", "400")


def write(page: Page, text: str) -> None:
    page.get_by_label("Scenario, as YAML or JSON").fill(text)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_every_refusal_has_its_sentence_and_the_text_stays(small: LiveServer, visit_to: OpenPage) -> None:
    """422, 413, 429, 409: what is wrong and what to do about it."""
    visit = visit_to(small)
    visit.refusals |= {"422", "413", "429", "409"}
    page = visit.open("start")
    verdict = page.locator("#verdict")
    steps = [
        (ONE.replace("rate: 5", "rate: 0"), "Start", "The text can be read, but a value is not valid."),
        (ONE + "# " + "x" * 400, "Start", "The text is longer than this daemon accepts."),
        (ONE.replace("- {", "- {id: a, ") + ONE[ONE.index("  - ") :], "Start", "There is no room for more:"),
    ]
    for text, button, sentence in steps:
        write(page, text)
        press(page, button)
        expect(verdict).to_contain_text(sentence)
        expect(page.get_by_label("Scenario, as YAML or JSON")).to_have_value(text)
    page.reload()
    expect(page.get_by_label("Scenario, as YAML or JSON")).to_have_value(steps[-1][0])


def test_a_catalog_that_cannot_be_read_leaves_the_examples(
    start_server: StartServer, visit_to: OpenPage, tmp_path: Path
) -> None:
    """Its own place says why; when the page comes back to this view, it is asked for again."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    visit = visit_to(start_server("--catalog", str(catalog)))
    visit.refusals.add("500")
    catalog.rmdir()
    page = visit.open("start")
    picks = page.locator("#picks")
    expect(picks.get_by_role("button", name="long-running")).to_be_visible()
    expect(picks.get_by_text(str(catalog)).first).to_be_visible()
    catalog.mkdir()
    (catalog / "nightly.yaml").write_text("kind: runnable\n" + ONE)
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name="Start").click()
    expect(picks.get_by_role("button", name=re.compile("^one"))).to_be_visible()
    expect(picks.get_by_text(str(catalog))).to_have_count(0)


def test_a_name_in_use_is_refused_in_words(visit_to: OpenPage, shared_server: LiveServer) -> None:
    """409 names the scenarios that are in the way."""
    shared_server.launch(ONE)
    visit = visit_to(shared_server)
    visit.refusals.add("409")
    page = visit.open("start")
    write(page, ONE)
    press(page, "Check")
    expect(page.get_by_role("list", name="Warnings")).to_contain_text("'one' is in use")
    press(page, "Start")
    expect(page.locator("#verdict")).to_have_text(
        "Scenarios of this scenario_name are active already: one. Stop them, or choose another name."
    )


def test_a_daemon_that_fails_says_where_to_look(visit_to: OpenPage, shared_server: LiveServer) -> None:
    """500, 503 and 408 cannot be had from a healthy daemon at will, so these answers are put in its place."""
    visit = visit_to(shared_server)
    visit.refusals |= {"500", "503", "408"}
    page = visit.open("start")
    headers = {"Content-Type": "application/json", "Retry-After": "7"}
    detail = '{"error":"internal_server_error","detail":"no process could be started"}'
    answers = {
        "The daemon failed (500): no process could be started. Its log says more.": {"status": 500, "body": detail},
        "The daemon has too much to do. Try again in 7.0 s.": {"status": 503},
        "The daemon took longer than --request-timeout, and has undone the call. It is busy: try again.": {
            "status": 408
        },
    }
    waiting = list(answers.values())
    page.route("**/scenarios", lambda route: route.fulfill(**waiting.pop(0), headers=headers))
    write(page, ONE)
    for sentence in answers:
        press(page, "Start")
        expect(page.locator("#verdict")).to_have_text(sentence)
    page.unroute("**/scenarios")
    press(page, "Start")
    expect(page.get_by_text("Started one.")).to_be_visible()


def test_a_page_under_a_foreign_name_says_how_to_let_it_in(visit_to: OpenPage, shared_server: LiveServer) -> None:
    """403: the files are for everybody, the daemon is not."""
    visit = visit_to(shared_server)
    visit.refusals.add("403")
    visit.url = visit.url.replace("127.0.0.1", "elsewhere.example")
    visit.origin = ("http", f"elsewhere.example:{shared_server.port}")
    page = visit.open()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text(
        "The daemon does not let this page in: host 'elsewhere.example' is not this daemon's"
    )
    expect(notice).to_contain_text("--allow-host")


def test_the_key_is_asked_for_once(start_server: StartServer, visit_to: OpenPage) -> None:
    """A wrong one is said to be wrong; the right one is kept in this tab alone, and can be forgotten."""
    visit = visit_to(start_server("--api-key", "sesame"))
    visit.refusals.add("401")
    page = visit.open()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The daemon asks for its API key.")
    for key, sentence in (("wrong", "The daemon does not accept this API key."), ("sesame", None)):
        page.get_by_label("Key", exact=True).fill(key)
        press(page, "Use key")
        if sentence is not None:
            expect(dialog).to_contain_text(sentence)
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    expect(dialog).to_be_hidden()
    assert page.context.cookies() == []
    assert page.evaluate("() => [localStorage.length, document.cookie]") == [0, ""]
    press(page, "Forget key")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_have_text("The daemon asks for its API key.")
    expect(page.get_by_role("button", name="Enter key")).to_be_visible()


def test_an_answer_from_before_the_key_does_not_ask_for_it_again(start_server: StartServer, visit_to: OpenPage) -> None:
    """The refusal of a request without the key may come when the key has been typed."""
    visit = visit_to(start_server("--api-key", "sesame"))
    visit.refusals.add("401")
    page = visit.open()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    held: list[Route] = []
    looks = re.compile(r"/daemon$|stats=1$")
    page.route(
        looks, lambda route: route.continue_() if "authorization" in route.request.headers else held.append(route)
    )
    while len(held) < 2:
        page.wait_for_timeout(50)
    page.get_by_label("Key", exact=True).fill("sesame")
    press(page, "Use key")
    expect(dialog).to_be_hidden()
    for route in held:
        route.continue_()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    expect(dialog).to_be_hidden()


def test_the_relay_shows_its_checks_and_what_is_wrong_with_it(
    start_server: StartServer, visit_to: OpenPage, tmp_path: Path
) -> None:
    """By client, with status and message; unknown checks too; what the upstream refused; a relay that hangs."""
    parent = ScriptedParent(lambda _: reply(404))
    upstream = f"upstream: {{url: 'http://127.0.0.1:{parent.port}', timeout: 20s}}\n"
    relay = LiveRelay(tmp_path, clients_config(own(), rest=upstream))
    server = start_server("--relay", str(relay.config), command=(SONDAD, "serve"))
    visit = visit_to(server)
    visit.refusals.add("503")
    page = visit.open("relay")
    expect(page.locator("#checks-body tr")).to_have_count(3)
    expect(page.locator("#relay-health")).to_have_text("OK")
    body = b'{"status":"warn","message":"disk <b>nearly</b> full","metrics":[]}'
    assert relay.post("agent", "urn:fs:usage", body).status == 202
    check = page.get_by_role("row", name=re.compile("urn:fs:usage|disk"))
    expect(check).to_contain_text("warn")
    expect(check).to_contain_text("disk <b>nearly</b> full")
    expect(page.get_by_role("row", name=re.compile("^123 unknown"))).to_be_visible()
    expect(page.get_by_role("list", name="Problems of the relay")).to_contain_text("rejected for good")
    expect(page.locator("#relay-health")).not_to_have_text("OK")
    page.get_by_text("1 dead letter", exact=True).click()
    expect(page.get_by_role("region", name="Dead letters").get_by_role("row").nth(1)).to_contain_text("urn:fs:usage")
    page.get_by_label("Filter checks").fill("nearly")
    expect(page.locator("#checks-body tr")).to_have_count(2)
    (process,) = titled(server.descendants(), "supervisor.relay")
    freeze(process.pid)
    expect(page.locator("#relay-result")).to_contain_text("The relay does not answer")
    process.resume()
    expect(page.locator("#relay-result")).to_be_hidden()
    parent.close()


def test_without_a_relay_the_page_says_how_to_get_one(visit_to: OpenPage, shared_server: LiveServer) -> None:
    """Nothing is asked that is not there: the console stays empty."""
    page = visit_to(shared_server).open("relay")
    expect(page.get_by_text("This daemon has no relay. Give it one: sondad serve --relay FILE.")).to_be_visible()
