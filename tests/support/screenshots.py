"""Takes the pictures of the page that docs/ shows: `python -m tests.support.screenshots DIRECTORY`."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Visit, chromium
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, LiveServer
from tests.support.polling import wait_until

SONDAD = COMMAND.replace("sonda-server", "sondad")
SIZE = {"width": 1180, "height": 680}
LOOKS = 100
"""How often the page has looked at the daemon when its pictures are taken; about once a second."""

SHOP = """\
version: 2
scenario_name: shop
defaults: {rate: 10, labels: {zone: a}, sink: {type: memory}}
scenarios:
  - signal_type: metrics
    name: cpu_usage
    generator: {type: sine, amplitude: 30, period_secs: 20, offset: 50}
    jitter: 4
  - {signal_type: metrics, name: http_requests_total, rate: 2000, generator: {type: step, step_size: 3}}
  - signal_type: metrics
    name: queue_length
    rate: 200
    generator: {type: sawtooth, min: 0, max: 90, period_secs: 30}
    gaps: {every: 30s, for: 6s}
  - signal_type: logs
    name: access_log
    rate: 120
    bursts: {every: 20s, for: 4s, multiplier: 4}
    log_generator: {type: template, templates: [{message: "GET /cart"}]}
  - {signal_type: metrics, name: temperature_celsius, generator: {type: uniform, min: 18, max: 24}, duration: 20s}
  - signal_type: metrics
    name: pushed_total
    generator: {type: step, step_size: 1}
    on_sink_error: warn
    sink: {type: http_push, url: "http://127.0.0.1:9/metrics/job/shop"}
"""
NETWORK = """\
version: 2
scenario_name: network
defaults: {rate: 20, duration: 1h, sink: {type: memory}}
scenarios:
  - {id: link, signal_type: metrics, name: link_up, generator: {type: flap, up_duration: 20s, down_duration: 8s}}
  - id: traffic
    signal_type: metrics
    name: octets_total
    rate: 500
    generator: {type: step, step_size: 1500}
    while: {ref: link, op: ">", value: 0.5}
  - id: errors
    signal_type: logs
    name: link_errors
    log_generator: {type: template, templates: [{message: "link is down"}]}
    while: {ref: link, op: "<", value: 0.5}
  - {id: load, signal_type: metrics, name: load, generator: {type: sawtooth, min: 0, max: 100, period_secs: 60}}
  - id: alerts
    signal_type: logs
    name: load_alerts
    log_generator: {type: template, templates: [{message: "load is high"}]}
    after: {ref: load, op: ">", value: 80}
"""
MISTAKES = SHOP.replace("type: sine", "type: sinus").replace("rate: 2000", "rate: fast").replace("jitter", "jittr")
REPORTS = {
    "urn:fs:usage": '{"status":"warn","message":"/var is 91 % full","metrics":[]}',
    "urn:ntp:offset": '{"status":"ok","message":"2.1 ms behind","metrics":[]}',
    "urn:raid": '{"status":"error","message":"one of four disks has failed","metrics":[]}',
}


def take(browser: Browser, directory: Path, workplace: Path, looks: int = LOOKS) -> list[Path]:
    """Start a daemon with something to show in every view, and write a picture of each.

    Args:
        browser: takes them.
        directory: where the pictures go.
        workplace: an empty directory for the daemon.
        looks: how often the page is to have looked at the daemon before.

    Returns:
        The pictures.
    """
    checks = ", ".join(f'"{check}": {{}}' for check in (*REPORTS, "urn:backup"))
    relay = LiveRelay(workplace, clients_config(own(checks, name="rack4")))
    server = LiveServer(
        workplace, "--relay", str(relay.config), "--builtin-packs", "--log-level", "error", command=(SONDAD, "serve")
    )
    try:
        visit = Visit(browser, server.url, viewport=SIZE, color_scheme="light")
        visit.refusals.add("400")
        wait_until(lambda: server.get("/relay/health").status_code == 200, "the relay answers")
        for check, body in REPORTS.items():
            relay.post("rack4", check, body.encode())
        for body in (NETWORK, SHOP):
            server.launch(body)
        pictures = [_taken(visit, directory, *view, looks=looks) for view in _VIEWS]
        visit.close()
    finally:
        server.stop()
        server.close()
    return pictures


def _taken(visit: Visit, directory: Path, name: str, prepare: Callable[[Visit], Page], *, looks: int) -> Path:
    picture = directory / f"page-{name}.png"
    page = prepare(visit)
    if name == "overview":
        for _ in range(looks):
            with page.expect_response("**/scenarios?stats=1"):
                pass
    page.evaluate("() => document.activeElement.blur()")
    page.screenshot(path=picture)
    return picture


def _overview(visit: Visit) -> Page:
    page = visit.open()
    expect(page.locator("#rows-body tr")).to_have_count(11)
    return page


def _scenario(visit: Visit) -> Page:
    page = visit.page
    page.get_by_role("link", name="access_log").click()
    expect(page.get_by_label("Configuration", exact=True)).to_contain_text("access_log")
    return page


def _gates(visit: Visit) -> Page:
    page = visit.open("gates")
    expect(page.locator("#graph .box")).to_have_count(5)
    return page


def _relay(visit: Visit) -> Page:
    page = visit.open("relay")
    expect(page.locator("#checks-body tr")).to_have_count(5)
    return page


def _mistakes(visit: Visit) -> Page:
    page = visit.open("start")
    page.get_by_label("Scenario, as YAML or JSON").fill(MISTAKES)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("list", name="Mistakes").get_by_role("listitem")).to_have_count(3)
    page.get_by_label("Scenario, as YAML or JSON").evaluate("area => area.scrollTo(0, 0)")
    return page


def _preview(visit: Visit) -> Page:
    page = visit.page
    page.get_by_label("Scenario, as YAML or JSON").fill(SHOP.replace("scenario_name: shop", "scenario_name: store"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("img", name="Preview")).to_have_count(6)
    page.locator("#previews").evaluate("previews => previews.scrollIntoView({block: 'start'})")
    return page


_VIEWS: tuple[tuple[str, Callable[[Visit], Page]], ...] = (
    ("overview", _overview),
    ("scenario", _scenario),
    ("gates", _gates),
    ("relay", _relay),
    ("mistakes", _mistakes),
    ("preview", _preview),
)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, chromium() as running:
        for path in take(running, Path(sys.argv[1]), Path(made)):
            print(f"{path} {path.stat().st_size} bytes")
