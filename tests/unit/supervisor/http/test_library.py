"""GET /examples, /packs and /catalog: texts that an editor can start from, and that the daemon takes."""

import dataclasses
from pathlib import Path

import pytest

from supervisor.http.library import clear_secrets
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient
from tests.support.memory_plane import MemoryControlPlane

ROOT = Path(__file__).parents[4]


def with_catalog(settings: Settings, catalog: Path) -> AppClient:
    return AppClient(MemoryControlPlane(), dataclasses.replace(settings, catalog=catalog, max_body_bytes=100_000))


def test_every_example_is_listed_with_its_text_and_a_title(shared_client: AppClient) -> None:
    """All that is a scenario file, and nothing else; the title is what the file says of itself."""
    examples = {example["name"]: example for example in shared_client.get("/examples").json["examples"]}
    files = {path.relative_to(ROOT / "examples").with_suffix("").as_posix() for path in ROOT.glob("examples/**/*.yaml")}
    assert set(examples) == files - {"relay"}
    assert list(examples) == sorted(examples)
    for name, example in examples.items():
        assert example["text"] == (ROOT / "examples" / f"{name}.yaml").read_text()
        assert example["title"].strip(), name
    assert examples["basic-metrics"]["title"].startswith("The smallest useful scenario: one sine wave")


def test_who_has_the_examples_is_told_so(shared_client: AppClient, shared_locked: AppClient) -> None:
    """By their tag; with a key they need it, unlike the documents about the API."""
    answer = shared_client.get("/examples")
    assert shared_client.get("/examples", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    for path in ("/examples", "/packs", "/catalog", "/daemon", "/sd/prometheus", "/scenarios?stats=1"):
        assert shared_locked.get(path).status_code == 401
        assert shared_locked.get(path, headers={"Authorization": "Bearer sesame"}).status_code == 200


def test_every_pack_comes_with_a_body_that_uses_it(settings: Settings, tmp_path: Path) -> None:
    """The daemon takes the body as it is; without a way to name packs the reason stands beside it."""
    own = "kind: composable\nname: mine\ndescription: two   words\ncategory: test\nshared_labels: {host: ''}\n"
    (tmp_path / "mine.yaml").write_text(own + "metrics: [{name: up, generator: {type: constant, value: 1}}]\n")
    client = with_catalog(settings, tmp_path)
    packs = {pack["name"]: pack for pack in client.get("/packs").json["packs"]}
    assert len(packs) == 8
    assert packs["mine"] | {"text": "", "body": ""} == {
        "name": "mine",
        "category": "test",
        "description": "two words",
        "tags": [],
        "origin": "catalog",
        "extends": None,
        "error": None,
        "text": "",
        "body": "",
    }
    for pack in packs.values():
        answer = client.post_yaml(pack["body"], "/scenarios?dry_run=true&preview_secs=0")
        assert (answer.status_code, answer.json["faults"]) == (200, []), pack["name"]
    assert client.post_yaml(packs["mine"]["body"]).status_code == 201
    bare = AppClient(MemoryControlPlane(), settings).get("/packs").json["packs"]
    assert len(bare) == 7
    assert {pack["error"] for pack in bare} == {"start the daemon with --builtin-packs or --catalog to use packs"}


def test_the_catalog_lists_scenarios_and_what_is_none(settings: Settings, tmp_path: Path) -> None:
    """Texts as they stand in the files; packs are listed elsewhere; no catalog is an empty one."""
    text = "kind: runnable\nname: one\ntags: [a]\n" + MINIMAL_YAML
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text("a: 1\n")
    (tmp_path / "pack.yaml").write_text("kind: composable\nname: p\n")
    assert with_catalog(settings, tmp_path).get("/catalog").json == {
        "directory": str(tmp_path),
        "entries": [
            {
                "name": "one",
                "kind": "runnable",
                "category": None,
                "description": "",
                "tags": ["a"],
                "text": text,
                "withheld": None,
            }
        ],
        "skipped": [{"file": "other.yaml", "reason": "no `kind:` header"}],
    }
    none = AppClient(MemoryControlPlane(), settings).get("/catalog").json
    assert none == {"directory": None, "entries": [], "skipped": []}


def test_a_large_catalog_is_listed_without_the_last_texts(settings: Settings, tmp_path: Path) -> None:
    """Sixteen mebibytes of them are enough for one answer."""
    for place in range(6):
        text = f"kind: runnable\nname: n{place}\n{MINIMAL_YAML}# {'x' * 3_500_000}\n"
        (tmp_path / f"{place}.yaml").write_text(text)
    entries = with_catalog(settings, tmp_path).get("/catalog").json["entries"]
    assert [entry["text"] is None for entry in entries] == [False] * 4 + [True] * 2
    assert entries[-1]["withheld"] == "the texts before it have 16 MiB together"


def test_a_catalog_that_cannot_be_read_is_said_so(settings: Settings, tmp_path: Path) -> None:
    """A directory that has gone, or two files of one name: 500 with the reason."""
    client = with_catalog(settings, tmp_path / "gone")
    for path in ("/catalog", "/packs"):
        answer = client.get(path)
        assert (answer.status_code, answer.json["error"]) == (500, "internal_server_error")
        assert "does not exist" in answer.json["detail"]


SINKS = {
    "{type: http_push, url: 'http://me:pw@h/'}": ["sink.url"],
    "{type: http_push, url: 'http://h/?key=pw'}": ["sink.url"],
    "{type: loki, url: 'http://h', headers: {Authorization: Bearer pw, Accept: x}}": ["sink.headers.Authorization"],
    "{type: loki, url: 'http://h', headers: {Authorization: 'Bearer ${TOKEN}', X-Key: '${KEY}'}}": [],
    "{type: loki, url: 'http://h', headers: {X-Key: '${KEY:-pw}'}}": ["sink.headers.X-Key"],
    "{type: kafka, brokers: 'b:1', sasl: {username: me, password: pw}}": ["sink.sasl.password"],
    "{type: kafka, brokers: ['u:pw@b:1'], sasl: {username: me, password: '${PW}'}}": ["sink.brokers[0]"],
    "{type: stdout}": [],
}


@pytest.mark.parametrize(("sink", "found"), SINKS.items())
def test_a_text_with_a_secret_is_withheld(settings: Settings, tmp_path: Path, sink: str, found: list[str]) -> None:
    """Passwords, headers and logins in clear; what stands in the environment is none."""
    text = f"kind: runnable\nname: one\n{MINIMAL_YAML.replace('rate: 10', f'rate: 10, sink: {sink}')}"
    assert clear_secrets(text) == [f"defaults.{path}" for path in found]
    (tmp_path / "one.yaml").write_text(text)
    answer = with_catalog(settings, tmp_path).get("/catalog")
    (entry,) = answer.json["entries"]
    assert entry["text"] == (None if found else text)
    assert (entry["withheld"] is not None) is bool(found)
    if found:
        assert found[0] in entry["withheld"]
        assert "pw" not in answer.text
