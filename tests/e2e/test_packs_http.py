"""Packs in posted bodies: only with a catalog or the built-in ones, never from a path."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

ENTRY = {"id": "p", "signal_type": "metrics", "rate": 10, "sink": {"type": "memory"}}


def body(pack: str, **entry: Any) -> dict[str, Any]:
    return {"version": 2, "scenarios": [ENTRY | {"pack": pack} | entry]}


def write_pack(directory: Path, name: str, *metrics: str, **head: Any) -> None:
    pack = {"version": 2, "kind": "composable", "name": name, "description": "d", "category": "c"}
    rows = [{"name": metric, "generator": {"type": "constant", "value": 1}} for metric in metrics]
    (directory / f"{name}.yaml").write_text(json.dumps(pack | {"metrics": rows} | head))


def refused(server: LiveServer, pack: str) -> str:
    answer = server.post(body(pack))
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert server.get("/scenarios").json() == {"scenarios": []}
    return str(answer.json()["detail"])


def test_without_either_flag_no_pack_resolves(shared_server: LiveServer) -> None:
    """A built-in one neither; the answer names the pack and the flag."""
    detail = refused(shared_server, "telegraf_snmp_interface")
    assert detail.startswith("v2 scenario body failed to compile: expand error: ")
    assert "telegraf_snmp_interface" in detail
    assert "--catalog" in detail


def test_built_in_packs(start_server: StartServer) -> None:
    """With their flag every one of them is launched, a row a metric, extended ones included."""
    server = start_server("--builtin-packs")
    assert "unknown pack" in refused(server, "mine")
    rows = server.launch(body("telegraf_snmp_interface"))
    assert [row["name"] for row in rows] == [
        "ifOperStatus",
        "ifHCInOctets",
        "ifHCOutOctets",
        "ifInErrors",
        "ifOutErrors",
    ]
    assert len(server.launch(body("if_mib", id="q"))) == 10
    config = server.get(f"/scenarios/{rows[0]['id']}").json()["config"]
    assert config["labels"]["job"] == "snmp"


def test_packs_of_a_catalog_come_first(start_server: StartServer, tmp_path: Path) -> None:
    """They hide built-in ones of their name, are read again for every body, and the built-in ones resolve besides."""
    write_pack(tmp_path, "if_mib", "mine")
    server = start_server("--catalog", str(tmp_path))
    assert [row["name"] for row in server.launch(body("if_mib"))] == ["mine"]
    assert server.post(body("if_mib")).json().keys() == {"id", "name", "state"}
    write_pack(tmp_path, "if_mib", "mine", "more")
    assert [row["name"] for row in server.launch(body("if_mib"))] == ["mine", "more"]
    assert len(server.launch(body("node_exporter_memory"))) == 5


def test_a_path_is_never_read(start_server: StartServer, tmp_path: Path) -> None:
    """Not even one that exists below the catalog."""
    write_pack(tmp_path, "pack", "up")
    server = start_server("--catalog", str(tmp_path), "--builtin-packs")
    for reference in ("./pack.yaml", "/etc/hostname", "..", "packs/link"):
        assert f"pack reference '{reference}' not found in resolver" in refused(server, reference)


def test_a_catalog_that_cannot_be_enumerated_fails_every_name(start_server: StartServer, tmp_path: Path) -> None:
    """Two equal names, and not even the built-in packs resolve; a removed directory likewise."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    write_pack(catalog, "a", "up", scenario_name="same")
    write_pack(catalog, "b", "up", scenario_name="same")
    server = start_server("--catalog", str(catalog))
    assert f"cannot enumerate catalog dir {catalog}: catalog {catalog} contains duplicate entry name" in refused(
        server, "if_mib"
    )
    for path in catalog.iterdir():
        path.unlink()
    catalog.rmdir()
    assert f"catalog dir {catalog} does not exist or is not a directory" in refused(server, "if_mib")


def test_a_broken_file_of_the_catalog_is_said_and_costs_nothing(start_server: StartServer, tmp_path: Path) -> None:
    """The others resolve."""
    (tmp_path / "broken.yaml").write_text("a: [\n")
    write_pack(tmp_path, "fine", "up")
    server = start_server("--catalog", str(tmp_path))
    server.launch(body("fine"))
    said = f"warning: catalog: skipping {tmp_path}/broken.yaml: unparseable YAML: "
    wait_until(lambda: server.log_lines(said), "the line about the broken file")
