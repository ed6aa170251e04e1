"""Packs: resolving, folding, expanding; the catalog directory; the built-in packs."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import CompileError, DecodeError
from common.specs import Constant, Step
from supervisor.compiler import BodyFormat, Compiled, Context, PackSources, compile_scenario
from supervisor.compiler.language.packfile import PackFile, check_addressable, parse_pack
from supervisor.compiler.packs.catalog import read_catalog
from supervisor.compiler.packs.resolver import Resolver, builtin_packs
from tests.support.compiling import FAILED, body, entry

HEAD = {"version": 2, "kind": "composable", "description": "d", "category": "c"}
LINK = {
    "name": "link",
    "shared_labels": {"device": "", "job": "snmp"},
    "metrics": [
        {"name": "octets", "id": "in", "labels": {"direction": "in"}, "generator": {"type": "step", "step_size": 2}},
        {"name": "octets", "id": "out", "labels": {"direction": "out"}},
        {"name": "up", "generator": {"type": "constant", "value": 1}},
    ],
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a catalog directory with the pack `link`."""
    write(tmp_path, "link", LINK)
    return tmp_path


def write(directory: Path, stem: str, fields: dict[str, Any]) -> None:
    (directory / f"{stem}.yaml").write_text(json.dumps(HEAD | fields))


def compiled(text: str, sources: PackSources) -> Compiled:
    return compile_scenario(text.encode(), BodyFormat.YAML, Context(packs=sources))


def refused(text: str, sources: PackSources) -> str:
    """Return the message of the expand phase that refuses a text."""
    with pytest.raises(CompileError) as caught:
        compiled(text, sources)
    assert caught.value.status == 400
    prefix = f"{FAILED}expand error: "
    assert caught.value.detail.startswith(prefix)
    return caught.value.detail.removeprefix(prefix)


def packed(name: str = "link", **fields: Any) -> dict[str, Any]:
    return entry(**{"id": "p", "name": None, "generator": None, "pack": name} | fields)


def test_keys_that_nobody_knows_are_warned_about_in_a_catalog(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file may have been written for another version: each key is named with the file, and the pack is used."""
    metric = {"name": "rtt_ms", "generator": {"type": "constant", "value": 1.5, "amplitude": 1}, "jitter": 0.3}
    write(tmp_path, "ping", {"name": "ping", "metrics": [metric], "owner": "net"})
    sources = PackSources(catalog=tmp_path)
    assert [one.name for one in compiled(body(packed("ping")), sources).entries] == ["rtt_ms"]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 3
    assert all(text.startswith(f"pack {tmp_path}/ping.yaml: ignoring ") for text in warned)
    told = "\n".join(warned)
    for place in ("unknown field `owner`", "metrics[0]: unknown field `jitter`", "metrics[0].generator: unknown field"):
        assert place in told
    posted = json.dumps(HEAD | {"version": 2, "kind": "composable", "name": "ping", "metrics": [metric]})
    with pytest.raises(CompileError, match="jitter"):
        compiled(posted, sources)


def test_a_pack_entry_becomes_an_entry_a_metric(directory: Path) -> None:
    """Sub-signals stand in the pack's order between their neighbours, with ids made of the entry's and the selector."""
    text = body(entry(), packed(rate=3, phase_offset="1s", help="h"), entry(id="z"))
    entries = compiled(text, PackSources(catalog=directory)).entries
    assert [one.id for one in entries] == ["up", "p.octets.in", "p.octets.out", "p.up", "z"]
    assert [one.name for one in entries] == ["up", "octets", "octets", "up", "up"]
    assert [one.generator for one in entries[1:4]] == [Step(step_size=2.0), Constant(value=0.0), Constant(value=1.0)]
    assert {(one.rate, one.phase_offset, one.help) for one in entries[1:4]} == {(3.0, "1s", "h")}


def test_labels_of_a_sub_signal(directory: Path) -> None:
    """Defaults rank lowest, then the pack's shared labels, the metric's, the entry's and the override's."""
    text = body(
        packed(
            labels={"device": "r1", "a": "entry"},
            overrides={"octets.in": {"labels": {"a": "override"}, "generator": {"type": "constant", "value": 7}}},
        ),
        defaults={"labels": {"job": "default", "b": "default"}},
    )
    first, second, _ = compiled(text, PackSources(catalog=directory)).entries
    assert first.labels == {"job": "snmp", "b": "default", "device": "r1", "direction": "in", "a": "override"}
    assert second.labels == {"job": "snmp", "b": "default", "device": "r1", "direction": "out", "a": "entry"}
    assert first.generator == Constant(value=7.0)


def test_sub_signals_can_be_referenced(directory: Path) -> None:
    """A dotted id is a target of `after`; the id of the pack entry itself is none."""
    clause = {"op": ">", "value": 4}
    text = body(packed(), entry(id="b", duration="1m", after=clause | {"ref": "p.octets.in"}))
    entries = compiled(text, PackSources(catalog=directory)).entries
    assert entries[-1].phase_offset == "0.3s"
    assert [one.clock_group for one in entries] == ["chain_b", None, None, "chain_b"]
    for ref, message in (
        (
            "p.octets",
            (
                "after.ref 'p.octets' is ambiguous: it names 2 signals under pack entry 'p'. Use one of: [p.octets.in, "
                "p.octets.out]"
            ),
        ),
        (
            "p",
            (
                "after.ref 'p' is ambiguous: it names 3 signals under pack entry 'p'. Use one of: [p.octets.in, "
                "p.octets.out, p.up]"
            ),
        ),
    ):
        with pytest.raises(CompileError) as caught:
            compiled(text.replace('"p.octets.in"', f'"{ref}"'), PackSources(catalog=directory))
        assert caught.value.detail == f"{FAILED}compile_after error: {message}"


def test_overridden_clauses_are_checked(directory: Path) -> None:
    """A clause that an override gives is checked under the id of the sub-signal."""
    text = body(packed(overrides={"up": {"while": {"ref": "p.octets.in", "op": ">", "value": 1}}}))
    with pytest.raises(CompileError) as caught:
        compiled(text, PackSources(catalog=directory))
    assert caught.value.status == 422
    assert caught.value.detail.startswith(f"{FAILED}normalize error: entry 'p.up': scenarios with `while:` must have")


def test_names_need_a_source(directory: Path) -> None:
    """Without a catalog and built-in packs every name is refused, and a posted body never reads a path."""
    assert refused(body(packed("telegraf_snmp_interface")), PackSources()) == (
        "pack 'telegraf_snmp_interface' could not be resolved: pack \"telegraf_snmp_interface\" referenced by name but "
        "--catalog <dir> not provided (nor --builtin-packs)"
    )
    builtin = ", ".join(builtin_packs())
    assert refused(body(packed("x")), PackSources(builtin=True)) == (
        f"pack 'x' could not be resolved: unknown pack \"x\"; composable entries: builtin: {builtin}; pass --catalog "
        "<dir> to resolve packs of your own"
    )
    assert refused(body(packed("x")), PackSources(catalog=directory)) == (
        f"pack 'x' could not be resolved: unknown pack \"x\"; composable entries: catalog {directory}: link; builtin: "
        f"{builtin}"
    )
    for path in (str(directory / "link.yaml"), "./link.yaml", ".link", "a/b"):
        assert refused(body(packed(path)), PackSources(catalog=directory)) == (
            f"pack '{path}' could not be resolved: pack reference '{path}' not found in resolver"
        )


def test_paths_are_read_where_they_may_be(directory: Path) -> None:
    """A local caller may name a file; a missing or broken one is refused by name."""
    sources = PackSources(files=True)
    path = directory / "link.yaml"
    assert len(compiled(body(packed(str(path))), sources).entries) == 3
    missing = str(directory / "none.yaml")
    assert refused(body(packed(missing)), sources) == (
        f"pack '{missing}' could not be resolved: cannot read pack file \"{missing}\": No such file or directory (os "
        "error 2)"
    )
    path.write_text("name: x\nmetrics: [{}]\n")
    assert refused(body(packed(str(path))), sources) == (
        f"pack '{path}' could not be resolved: cannot parse pack definition for \"{path}\": metrics[0]: missing field "
        "`name` at line 2 column 11"
    )
    assert "cannot read pack file" in refused(body(packed("./a\0b")), sources)


def test_a_catalog_pack_hides_a_builtin_one(directory: Path) -> None:
    """The directory is searched first, and extensions extend what hides their base."""
    write(directory, "mine", {"name": "telegraf_snmp_interface", "metrics": [{"name": "only"}]})
    entries = compiled(body(packed("if_mib")), PackSources(catalog=directory)).entries
    assert [one.name for one in entries][:2] == ["only", "ifSpeed"]


def test_a_broken_catalog_fails_every_name(directory: Path) -> None:
    """A directory that cannot be enumerated fails built-in names too."""
    write(directory, "again", LINK)
    assert refused(body(packed("if_mib")), PackSources(catalog=directory)) == (
        f"pack 'if_mib' could not be resolved: cannot enumerate catalog dir {directory}: catalog {directory} contains "
        f'duplicate entry name "link": {directory}/again.yaml and {directory}/link.yaml'
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pack": "empty"}, "pack 'empty' contains no metrics"),
        (
            {"overrides": {"nope": {}}},
            "override references unknown metric 'nope'; pack 'link' contains: octets.in, octets.out, up",
        ),
        (
            {"overrides": {"octets": {}}},
            (
                "override selector 'octets' is ambiguous in pack 'link': that name is shared by 2 metrics; address one "
                "by id — octets.in, octets.out"
            ),
        ),
        (
            {"pack": "ided", "overrides": {"a": {}, "a.b.c": {}}},
            "override keys 'a' and 'a.b.c' both address metric 'a.b.c' in pack 'ided'",
        ),
        (
            {"pack": "loop"},
            "extension cycle: loop -> loop2 -> loop",
        ),
        (
            {"pack": "lost"},
            "pack 'lost' extends 'nowhere', which could not be resolved: unknown pack \"nowhere\"; composable entries:",
        ),
        (
            {"pack": "rootless"},
            "pack 'rootless' declares 1 deviation(s) but no `extends:`; there is no base to deviate from",
        ),
        (
            {"pack": "dotted"},
            "pack 'dotted' is not addressable: pack 'dotted': metric name 'a.b' contains '.', which separates",
        ),
    ],
)
def test_packs_that_cannot_be_used(directory: Path, fields: dict[str, Any], message: str) -> None:
    """An unusable pack, or an override that addresses nothing, is refused."""
    write(directory, "empty", {"name": "empty"})
    write(directory, "ided", {"name": "ided", "metrics": [{"name": "a", "id": "b.c"}]})
    write(directory, "loop", {"name": "loop", "extends": "loop2"})
    write(directory, "loop2", {"name": "loop2", "extends": "loop"})
    write(directory, "lost", {"name": "lost", "extends": "nowhere"})
    write(directory, "rootless", {"name": "rootless", "deviations": [{"metric": "a", "not_supported": True}]})
    write(directory, "dotted", {"name": "dotted", "metrics": [{"name": "a.b"}]})
    assert refused(body(packed(**fields)), PackSources(catalog=directory)).startswith(message)


def test_ids_collide_after_expansion(directory: Path) -> None:
    """Inline ids, ids of pack entries and sub-signal ids share one space."""
    sources = PackSources(catalog=directory)
    assert refused(body(packed(id=None), entry(id="link_0")), sources) == (
        "duplicate entry id 'link_0' after pack expansion: pack entry at index 0 (auto-generated id 'link_0' from pack "
        "'link') conflicts with inline entry 'link_0'"
    )
    write(directory, "twice", {"name": "twice", "metrics": [{"name": "a", "id": "b"}, {"name": "a.b"}]})
    assert "is not addressable" in refused(body(packed("twice")), sources)


def pack(**fields: Any) -> PackFile:
    return parse_pack(json.dumps(HEAD | {"name": "n"} | fields))[0]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            [{"name": "a"}, {"name": "a", "id": "x"}, {"name": "a"}],
            (
                "pack 'n': metric name 'a' appears 3 times, so every one of them needs a unique `id:` to be "
                "addressable; 2 declare none"
            ),
        ),
        ([{"name": "a", "id": "x"}] * 2, "pack 'n': metric 'a' declares id 'x' more than once"),
        (
            [
                {"name": "a", "id": "x", "gnmi": {"path": "/a", "value": "uint"}},
                {"name": "a", "id": "y"},
                {"name": "a", "id": "z", "gnmi": {"path": "/b", "value": "uint"}},
            ],
            (
                "pack 'n': metric name 'a' carries different `gnmi:` hints; specs sharing a name must carry the same "
                "hint or none"
            ),
        ),
        (
            [
                {"name": "a", "id": "x", "snmp": {"oid": "1.3", "type": "integer"}},
                {"name": "a", "id": "y", "snmp": {"oid": "1.4", "type": {"enum": {"1": "up"}}}},
            ],
            (
                "pack 'n': metric name 'a' carries different `snmp:` hints; specs sharing a name must carry the same "
                "hint or none"
            ),
        ),
    ],
)
def test_metrics_must_be_addressable(metrics: list[dict[str, Any]], message: str) -> None:
    """Every metric of a pack needs a selector of its own."""
    with pytest.raises(DecodeError) as caught:
        check_addressable(pack(metrics=metrics))
    assert str(caught.value) == message


def extended(directory: Path, **fields: Any) -> PackFile:
    """Return the pack `more`, which extends `link`."""
    write(directory, "more", {"name": "more", "extends": "link"} | fields)
    return Resolver(PackSources(catalog=directory)).pack("more")


def test_extensions_change_and_add(directory: Path) -> None:
    """Deviations replace or remove metrics of the base in place, and the extension's own come last."""
    folded = extended(
        directory,
        shared_labels={"job": "gnmi"},
        metrics=[{"name": "errors"}],
        deviations=[
            {"metric": "octets.out", "not_supported": True},
            {"metric": "octets.in", "replace": {"labels": {"x": "y"}}},
            {"metric": "up", "replace": {"generator": {"type": "constant", "value": 2}}},
        ],
    )
    assert folded.shared_labels == {"device": "", "job": "gnmi"}
    assert [metric.selector for metric in folded.metrics or ()] == ["octets.in", "up", "errors"]
    first, second, _ = folded.metrics or ()
    assert (first.labels, first.generator) == ({"x": "y"}, Step(step_size=2.0))
    assert second.generator == Constant(value=2.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"deviations": [{"metric": "up", "not_supported": True, "replace": {"labels": {}}}]},
            "pack 'more': deviation on 'up' must give exactly one of `replace:` or `not_supported: true`, not both",
        ),
        (
            {"deviations": [{"metric": "up", "replace": {}}]},
            "pack 'more': deviation on 'up' must give exactly one of `replace:` or `not_supported: true`, not neither",
        ),
        (
            {"deviations": [{"metric": "octets", "not_supported": True}]},
            (
                "pack 'more': deviation selector 'octets' matches no metric in base 'link'; available: octets.in, "
                "octets.out, up"
            ),
        ),
        (
            {"deviations": [{"metric": "up", "not_supported": True}] * 2},
            "pack 'more': two deviations address metric 'up'",
        ),
        (
            {"metrics": [{"name": "up"}], "deviations": [{"metric": "up", "not_supported": True}]},
            (
                "pack 'more': metric 'up' is already declared by base 'link'; `metrics:` only adds — use a deviation "
                "to change it"
            ),
        ),
    ],
)
def test_extensions_that_do_not_fit(directory: Path, fields: dict[str, Any], message: str) -> None:
    """A deviation needs one action and one target, and an added metric a name of its own."""
    with pytest.raises(DecodeError) as caught:
        extended(directory, **fields)
    assert str(caught.value) == message


def test_a_posted_pack_is_checked() -> None:
    """A pack definition that is posted must be one, though it holds nothing to launch."""
    with pytest.raises(CompileError) as caught:
        compiled("version: 2\nkind: composable\nname: p\n", PackSources())
    assert caught.value.detail == (
        f"{FAILED}parse error: kind: composable body is not a valid pack definition: missing field `description` at "
        "line 1 column 1"
    )


@pytest.mark.parametrize("name", builtin_packs())
def test_builtin_packs_expand(name: str) -> None:
    """Every built-in pack is under its own name, documented, and becomes entries that run."""
    pack = Resolver(PackSources(builtin=True)).pack(name)
    assert pack.name == name
    assert pack.description
    assert pack.category
    entries = compiled(body(packed(name)), PackSources(builtin=True)).entries
    assert len(entries) == len(pack.metrics or ()) > 0


def test_builtin_packs_are_seven() -> None:
    """Names in byte order; the extension has its base's metrics first."""
    assert list(builtin_packs()) == [
        "http_server_red",
        "if_mib",
        "kube_state_metrics",
        "node_exporter_cpu",
        "node_exporter_memory",
        "openconfig_interface",
        "telegraf_snmp_interface",
    ]
    names = [metric.name for metric in Resolver(PackSources(builtin=True)).pack("if_mib").metrics or ()]
    assert names[:5] == ["ifOperStatus", "ifHCInOctets", "ifHCOutOctets", "ifInErrors", "ifOutErrors"]


def test_a_catalog_lists_what_it_holds(tmp_path: Path) -> None:
    """Entries have the first of three names, in byte order; what is no entry is named with the reason."""
    (tmp_path / "a_b.yaml").write_text("kind: runnable\n")
    (tmp_path / "c.yml").write_text("kind: composable\nname: zed\nfoo: bar\n")
    (tmp_path / "d.yaml").write_text("kind: runnable\nname: x\nscenario_name: Name\ntags: [t]\ncategory: c\n")
    (tmp_path / "e.yaml").write_text("name: x\n")
    (tmp_path / "f.yaml").write_text("kind: other\n")
    (tmp_path / "g.yaml").write_text("kind: [\n")
    (tmp_path / "h.yaml").write_bytes(b"kind: \xff\n")
    (tmp_path / "i.yaml").write_text("kind: runnable\ntags: net\n")
    (tmp_path / "j.yaml").write_text("- kind: runnable\n")
    (tmp_path / "k.yaml").write_text("kind: runnable\n---\nkind: runnable\n")
    (tmp_path / "l.txt").write_text("kind: runnable\n")
    (tmp_path / "m.YAML").write_text("kind: runnable\n")
    (tmp_path / "n.yaml").mkdir()
    (tmp_path / "o.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "p.yaml").write_text("kind: runnable\n")
    (tmp_path / "q.yaml").symlink_to(tmp_path / "sub" / "p.yaml")
    catalog = read_catalog(tmp_path)
    assert [(one.name, one.path.name, one.header.kind) for one in catalog.entries] == [
        ("Name", "d.yaml", "runnable"),
        ("a-b", "a_b.yaml", "runnable"),
        ("q", "q.yaml", "runnable"),
        ("zed", "c.yml", "composable"),
    ]
    assert (catalog.entries[0].header.tags, catalog.entries[0].header.category) == (("t",), "c")
    assert [(one.path.name, one.reason.partition(":")[0]) for one in catalog.skipped] == [
        ("e.yaml", "no `kind"),
        ("f.yaml", "kind"),
        ("g.yaml", "unparseable YAML"),
        ("h.yaml", "unreadable"),
        ("i.yaml", "unparseable YAML"),
        ("j.yaml", "unparseable YAML"),
        ("k.yaml", "unparseable YAML"),
    ]


def test_a_catalog_is_a_directory(tmp_path: Path) -> None:
    """What is no directory is refused by name."""
    with pytest.raises(DecodeError, match=f"catalog dir {tmp_path}/x does not exist or is not a directory"):
        read_catalog(tmp_path / "x")
