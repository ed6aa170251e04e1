"""What every part of the repository owes: complete kinds, small files, nothing unfinished, packages that are ours."""

import functools
import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import common
import supervisor
import worker
from common import plan, specs
from common.errors import SondadError
from common.specs import Spec, kind_of
from supervisor.compiler.language import blocks as language
from supervisor.compiler.language import kinds
from supervisor.compiler.language.reference import reference
from supervisor.relay.config.language import CheckBlock, ClientBlock, ConfigFile
from supervisor.relay.config.records import RelaySettings, UpstreamSettings
from supervisor.relay.config.reference import reference as relay_reference
from tests.support.example_sums import COMMAND, SUMS
from tests.support.example_sums import examples as scenario_files
from worker import encoders, generators, sinks

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "worker", "supervisor")
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".yaml",
    ".toml",
    ".service",
    ".socket",
    ".sysusers",
    ".tmpfiles",
    ".conf",
    ".sh",
    ".txt",
    "",
}
LONGEST_FILE = 400

Builder = Callable[..., Any]
TABLES: dict[str, dict[type[Any], Builder]] = {
    "generator": generators.BUILDERS | generators.OBSERVERS,
    "encoder": encoders.BUILDERS,
    "sink": sinks.BUILDERS | sinks.REQUESTERS,
}
UNIONS = {"generator": plan.GeneratorPlan, "encoder": specs.EncoderSpec, "sink": specs.SinkSpec}
RUNNABLE = [(family, spec, builder) for family, table in TABLES.items() for spec, builder in table.items()]
every_runnable_kind = pytest.mark.parametrize(
    ("family", "spec", "builder"), RUNNABLE, ids=[f"{family}-{kind_of(spec)}" for family, spec, _ in RUNNABLE]
)
WRITTEN: dict[str, Any] = {
    "generator": kinds.WrittenGenerator,
    "log_generator": kinds.WrittenLogGenerator,
    "distribution": specs.DistributionSpec,
    "encoder": specs.EncoderSpec,
    "sink": specs.SinkSpec,
}
KINDS = [(block, spec) for block, union in WRITTEN.items() for spec in union.__args__]
every_written_kind = pytest.mark.parametrize(
    ("block", "spec"), KINDS, ids=[f"{block}-{kind_of(spec)}" for block, spec in KINDS]
)
CITATION = re.compile(r'\b(docs/[\w./-]+\.md)((?:(?:,| and) "[^"\n]+")*)')
DEFINED_TYPE = re.compile(r"^(?:class (?=\w+[:(])|(?=\w+ = ))([A-Z]+[a-z]\w*)", re.MULTILINE)
PARTS = ("gaps", "gap_windows", "bursts", "cardinality_spikes", "dynamic_labels", "after", "pack", "while", "delay")


@functools.cache
def examples() -> tuple[Any, ...]:
    """Every example as a document."""
    return tuple(yaml.safe_load(path.read_text()) for path in sorted((ROOT / "examples").rglob("*.yaml")))


@functools.cache
def own_texts() -> dict[str, str]:
    """Every text file of the project, by its name; what tools make is left out."""
    texts = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if _is_own(name) and name not in ("golden", "__pycache__")]
        if Path(folder) == ROOT:
            folders[:] = [name for name in folders if name not in ("build", "dist")]
        for path in (Path(folder, name) for name in files if _is_own(name)):
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                texts[str(path.relative_to(ROOT))] = path.read_text()
    return texts


def _is_own(name: str) -> bool:
    return name in (".ci", ".pre-commit-config.yaml") or not (name.startswith(".") or name.endswith(".egg-info"))


def files_of_tests() -> Iterator[Path]:
    """Every Python file of the tests; what measures is none."""
    for folder in ("unit", "integration", "e2e", "drills", "support"):
        yield from (ROOT / "tests" / folder).rglob("*.py")


def values_of(document: Any, key: str) -> Iterator[Any]:
    """Every value that stands under `key`, at any depth."""
    if isinstance(document, dict):
        for name, inner in document.items():
            if name == key:
                yield inner
            yield from values_of(inner, key)
    elif isinstance(document, list):
        for inner in document:
            yield from values_of(inner, key)


@pytest.mark.parametrize("package", [common, worker, supervisor])
def test_the_packages_are_ours(package: Any) -> None:
    """The generic names resolve to this repository, not to another distribution that has a package of the same name."""
    assert Path(package.__file__) == ROOT / package.__name__ / "__init__.py"


def test_no_two_classes_share_a_name() -> None:
    """A word stands for one thing in the whole repository: no public class, and no name of a type, has a namesake."""
    defined: dict[str, list[str]] = {}
    for path, text in own_texts().items():
        if path.startswith(PACKAGES) and path.endswith(".py"):
            for name in DEFINED_TYPE.findall(text):
                defined.setdefault(name, []).append(path)
    assert len(defined) > 500
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}


@every_runnable_kind
def test_a_kind_is_a_struct_and_a_module(family: str, spec: type[Spec], builder: Builder) -> None:
    """Each has a documented frozen Struct beside the others, and a documented module of its own that builds it."""
    module = importlib.import_module(builder.__module__)
    assert spec.__module__.rpartition(".")[0] == "common.specs" or spec.__module__ == "common.plan"
    assert spec.__doc__
    assert issubclass(spec, msgspec.Struct)
    assert spec.__struct_config__.frozen
    assert module.__name__.startswith(f"worker.{family}s.")
    assert module.__doc__
    same_module = [kind_of(other) for _, other, built_by in RUNNABLE if built_by.__module__ == module.__name__]
    assert same_module == [kind_of(spec)], "one kind a module"


@every_written_kind
def test_a_kind_has_an_example(block: str, spec: type[Spec]) -> None:
    """Users find each kind in at least one file under examples/."""
    used = {value.get("type") for example in examples() for value in values_of(example, block)}
    assert kind_of(spec) in used


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_language_has_an_example(part: str) -> None:
    """So they do each clause of an entry."""
    assert any(list(values_of(example, part)) for example in examples())


def test_a_dry_run_of_every_example_has_its_sum() -> None:
    """A new example is added to the list, one that is gone is taken out; an integration test compares the sums."""
    assert [line.split()[1] for line in SUMS.read_text().splitlines()] == scenario_files(), f"run {COMMAND}"


def test_examples_name_their_schema() -> None:
    """Editors complete and check an example, and copies of it, by the schema that its first line names."""
    for path in (ROOT / "examples").rglob("*.yaml"):
        if path.name != "relay.yaml":
            marker, _, schema = path.read_text().splitlines()[0].partition("=")
            assert marker == "# yaml-language-server: $schema", path
            assert (path.parent / schema).resolve() == ROOT / "docs" / "scenario.schema.json"


@every_written_kind
def test_a_kind_is_documented(block: str, spec: type[Spec]) -> None:
    """Users find each kind and each of its fields in a table row, under docs/, that begins with its name."""
    rows = [
        line
        for page in sorted((ROOT / "docs").glob("*.md"))
        for line in page.read_text().splitlines()
        if line.startswith(f"| `{kind_of(spec)}` ")
    ]
    assert rows
    for name in spec.__struct_encode_fields__:
        assert any(f"`{name}`" in row for row in rows), name


def test_the_reference_is_current() -> None:
    """The page of every field is what the code says now, and has all fields of an entry."""
    page = (ROOT / "docs" / "reference.md").read_text()
    assert page == reference(), "renew it: python -m supervisor.compiler.language.reference > docs/reference.md"
    for name in language.Entry.__struct_encode_fields__:
        assert f"\n| `{name}` | " in page


def test_the_reference_of_the_relay_is_current() -> None:
    """The page of every field of its configuration is what the code says now, and has all fields of a client."""
    page = (ROOT / "docs" / "relay-reference.md").read_text()
    renew = "renew it: python -m supervisor.relay.config.reference > docs/relay-reference.md"
    assert page == relay_reference(), renew
    for struct in (ConfigFile, RelaySettings, UpstreamSettings, ClientBlock, CheckBlock):
        for name in struct.__struct_encode_fields__:
            assert f"\n| `{name}` | " in page


@pytest.mark.parametrize("page", [reference, relay_reference])
def test_a_reference_leads_somewhere(page: Callable[[], str]) -> None:
    """Every link within the page has its heading, and no heading stands there twice."""
    headings = re.findall(r"^## (.+)$", page(), re.MULTILINE)
    anchors = [heading.lower().replace(":", "").replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]+)\)", page())) <= set(anchors)


@pytest.mark.parametrize("family", TABLES)
def test_what_can_be_launched_can_be_built(family: str) -> None:
    """Every kind of the schema has its builder, and every builder its kind."""
    assert set(UNIONS[family].__args__) == set(TABLES[family])


@pytest.mark.parametrize("package", PACKAGES)
def test_files_stay_small(package: str) -> None:
    """A file that has grown past the bound is about two things."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / package).rglob("*.py")
        if (lines := path.read_text().count("\n")) > LONGEST_FILE
    }
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_what_they_are(package: str) -> None:
    """Every module opens with a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if not path.read_text().lstrip().startswith(('"""', 'r"""'))
    ]
    assert silent == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file of the repository."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_citations_can_be_opened() -> None:
    """Every page of the documentation that a file cites exists, and so does every section it names."""
    cited = [
        (name, page, section)
        for name, text in own_texts().items()
        for page, sections in CITATION.findall(re.sub(r"\s*\n[\s#]*", " ", text))
        for section in ["", *re.findall(r'"([^"]+)"', sections)]
    ]
    assert len(cited) > 100
    assert [citation for citation in cited if citation[2] not in headings(citation[1])] == []


@functools.cache
def headings(page: str) -> set[str]:
    """The headings of a page and the empty one; nothing when there is no such page."""
    path = ROOT / page
    return {"", *re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)} if path.exists() else set()


def test_the_architecture_is_the_tree() -> None:
    """The page about the architecture names every room of the packages, and nothing that is not there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"(?<![\w/])(?:common|worker|supervisor|tests)/[\w/.]*\w", page))
    rooms = {path.parent.name for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert {room for room in rooms if f"{room}/" not in page} == set()


@pytest.mark.parametrize(
    "unwanted",
    [
        re.compile(r"NotImplemented[E]rror|#\s*(?:TO[D]O|FIX[M]E|XX[X]|st[u]b)\b"),
        re.compile(r"mark\.(?:ski[p]|xfai[l])\b"),
        re.compile(r"(?<![\w.])/(?:wor[k]|roo[t]|hom[e]|User[s])/\w"),
        re.compile(r"\b(?:pypi|pythonhosted|npmjs|crates|proxy\.golang)\.(?:or[g]|i[o]|co[m])\b"),
        re.compile(
            r"\b(?:HTTP|generators?|encoders?|scheduling|sinks|relay|the) contrac[t]\b|scenario forma[t], section"
        ),
    ],
    ids=["unfinished", "switched off", "a path of one machine", "a download address", "a paper that is not here"],
)
def test_nothing_unwanted_stands_in_a_file(unwanted: re.Pattern[str]) -> None:
    """No code is left for later, no test is switched off, no file knows its machine or cites what is elsewhere."""
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in own_texts().items()
        if unwanted.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if unwanted.search(line)
    ]
    assert found == []


def test_every_error_stands_in_the_tree() -> None:
    """The drawing in `common/errors.py` names each error that is raised on purpose, and no other."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    errors, found = [SondadError], set()
    while errors:
        found.add((error := errors.pop()).__name__)
        errors += error.__subclasses__()
    drawing = (common.errors.__doc__ or "").partition("::")[2].partition("A subclass")[0]
    drawn = re.findall(r"[A-Z]\w+", " ".join(re.findall(r"(?:── |^ {4})(\w+(?:, \w+)*)", drawing, re.MULTILINE)))
    assert sorted(name for name in found if not name.startswith("_")) == sorted(drawn)


def test_what_sounds_like_a_secret_is_one() -> None:
    """No block under a sink shows a field that is called so; those with keys of the user's own hide by the key."""
    blocks = [spec for spec in vars(specs).values() if isinstance(spec, type) and issubclass(spec, Spec)]
    secret = {name for spec in blocks for name in spec.secrets}
    assert secret == {
        name for spec in blocks for name in spec.__struct_fields__ if re.search("password|token|secret", name)
    }
    by_key = {name for spec in blocks for name in spec.secret_entries}
    assert by_key == {name for spec in blocks for name in spec.__struct_fields__ if name == "headers"}


def test_no_test_asserts_a_speed() -> None:
    """A machine may be busy: what has to be quick is counted, or has all the time it wants."""
    asserted = re.compile(r"asser[t] .*(?:time|monotonic|monotonic_ns|perf_counter|process_time)\(\) - \w+ <")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files_of_tests()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if asserted.search(line)
    ]
    assert found == []


def test_tests_stop_and_look_at_processes_in_one_place() -> None:
    """A signal takes effect later than `kill` returns, and any process may end while it is looked at."""
    unsafe = re.compile(r"signal\.SIGSTO[P]|\.suspen[d]\(\)|(?<!Process\(\))\.cmdlin[e]\(\)")
    paths = (path for path in files_of_tests())
    found = {str(path.relative_to(ROOT)) for path in paths if unsafe.search(path.read_text())}
    assert found == {"tests/support/processes.py"}
