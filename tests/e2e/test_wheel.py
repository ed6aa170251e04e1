"""The wheel and the source archive: complete, and the wheel runs by itself."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.built_wheel import ROOT, build, installed, run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an archive of this checkout."""
    return build(tmp_path_factory.mktemp("dist"), SONDAD_URL="https://sondad.example/code")


@pytest.fixture
def environment(built: dict[str, Path], tmp_path: Path) -> Path:
    """The bin of an environment with the wheel alone."""
    return installed(built[".whl"], tmp_path / "env")


def test_both_are_complete(built: dict[str, Path]) -> None:
    """Programs, packs, units, examples, documentation, schema, man pages, completions, licence; all of the tree."""
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"sondad"}
    shared = {name.partition("/data/share/")[2] for name in names if "/data/share/" in name}
    for folder in ("systemd", "examples", "docs"):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {f"sondad/{name}" for name in files} <= shared
    assert {"man/man1/sonda.1", "man/man1/sondad.1", "man/man5/sondad-scenario.5"} <= shared
    assert {"bash-completion/completions/sondad", "zsh/site-functions/_sonda"} <= shared
    assert "sondad/packages/supervisor/compiler/packs/builtin/if-mib.yaml" in names
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "supervisor/http/page/static").iterdir()}
    assert {f"sondad/packages/{name}" for name in page} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    for line in (
        "License-Expression: Apache-2.0",
        "Project-URL: Homepage, https://sondad.example/code",
        "Classifier: ",
    ):
        assert line in metadata
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tarfile.open(built[".gz"]) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    tree = {name for name in listed.splitlines() if not name.startswith((".git", ".pre-commit"))}
    assert tree - packed == set()


def test_the_wheel_runs_by_itself(environment: Path) -> None:
    """Scenarios, built-in packs and workers, from the installed files alone; it says where the others are."""
    assert run(environment, "sondad", "--version").stdout.startswith("sondad ")
    done = run(environment, "sondad", "files", "examples")
    example = Path(done.stdout.strip()) / "basic-metrics.yaml"
    assert example.is_relative_to(environment.parent)
    done = run(environment, "sonda", "-q", "run", str(example), "--duration", "300ms")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu_usage" in done.stdout
    assert "if_mib" in run(environment, "sonda", "list").stdout
    units = Path(run(environment, "sondad", "files", "units").stdout.strip())
    assert (units / "sondad.service").is_file()
