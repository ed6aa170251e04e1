"""The page: a fixed list of files, the same for everybody, under a strict policy; only browsers are led to it."""

import re
from pathlib import Path

from supervisor.http.page.files import PageFiles
from supervisor.settings import parse_settings
from tests.support.http_app import AppClient
from tests.support.memory_plane import MemoryControlPlane

STATIC = Path(__file__).parents[4] / "supervisor/http/page/static"
FILES = sorted(path.name for path in STATIC.iterdir())
OWN = [name for name in FILES if "uplot" not in name]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
LONGEST_FILE = 400
LONGEST_LINE = 120


def test_the_files_are_served_to_everybody_with_the_policy(locked: AppClient) -> None:
    """Byte for byte, without a key; no script of another place may run, and nobody may frame the page."""
    for name in FILES:
        answer = locked.get(f"/ui/{name}")
        assert (answer.status_code, answer.content) == (200, (STATIC / name).read_bytes())
        policy = answer.headers["content-security-policy"]
        own = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        assert policy.startswith(own)
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in answer.headers


def test_a_browser_that_has_a_file_is_told_so(client: AppClient) -> None:
    """What carries a version is never asked for again; the rest is, since an upgrade may change it."""
    for name in FILES:
        answer = client.get(f"/ui/{name}")
        kept = "max-age=31536000, immutable" if "uplot" in name else "no-cache"
        assert answer.headers["cache-control"] == kept
        again = client.get(f"/ui/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_document_is_at_the_root_of_the_page(client: AppClient) -> None:
    """HEAD is answered too, and no other method."""
    assert client.get("/ui/").content == (STATIC / "index.html").read_bytes()
    assert client.request("HEAD", "/ui/").headers["content-type"] == "text/html; charset=utf-8"
    assert client.request("POST", "/ui/").status_code == 405


def test_no_other_path_leads_to_a_file(client: AppClient) -> None:
    """The names are those of the folder; nothing is looked up on the disk."""
    ways_out = ["/ui/../files.py", "/ui/..%2ffiles.py", "/ui/%2e%2e/files.py", "/ui/static/main.js"]
    for path in ["/ui", "/ui//", "/ui/x.js", "/ui/__init__.py", *ways_out]:
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (404, b""), path


def test_a_browser_is_led_to_the_page(locked: AppClient) -> None:
    """From the address that people type."""
    for method in ("GET", "HEAD"):
        answer = locked.request(method, "/", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")


def test_other_clients_find_nothing_at_the_root(client: AppClient) -> None:
    """As at any unknown path."""
    for method in ("GET", "HEAD", "POST"):
        unknown = client.request(method, "/nowhere")
        for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": "text/plain"}):
            answer = client.request(method, "/", headers=headers)
            assert (answer.status_code, answer.content, answer.headers) == (404, unknown.content, unknown.headers)


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else() -> None:
    """Under any name of the host: it says itself what the daemon refuses, and how to allow it."""
    guarded = AppClient(MemoryControlPlane(), parse_settings("sondad", [], {}))
    foreign = {"Host": "elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert guarded.get("/ui/", headers=foreign).status_code == 200
    assert guarded.get("/scenarios", headers=foreign).status_code == 403


def test_every_file_is_named_by_another_one() -> None:
    """Nothing is served that the page does not use."""
    texts = {name: (STATIC / name).read_text() for name in OWN}
    for name in FILES:
        used = any(name in text for other, text in texts.items() if other != name)
        assert used or name == "index.html" or name.startswith("license"), name


def test_the_page_makes_no_markup_of_texts() -> None:
    """Elements are made one by one, texts are text nodes, and no address of another host stands anywhere."""
    for name in OWN:
        text = (STATIC / name).read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|style=", text)
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert text.count("\n") <= LONGEST_FILE, name
        assert max(map(len, text.splitlines())) <= LONGEST_LINE or name.endswith((".svg", ".html")), name
        assert text.startswith("/**\n") or not name.endswith(".js"), "every module says what it is"


def test_the_library_is_there_with_its_licence() -> None:
    """Whole, as its authors publish it."""
    licence = (STATIC / "license-uplot-1.6.32.txt").read_text()
    assert licence.startswith("The MIT License")
    assert len(PageFiles()._files) == len(FILES)
