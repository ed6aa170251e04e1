"""The configuration file: text -> `Config`, or every fault of it.

A fault of the file (unknown or duplicate keys, wrong types, values out of bounds outside `clients`) refuses it as a
whole. A fault inside one client's values is kept in that client's `fault`; the others are served.

Source: examples/relay.yaml.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from common.errors import DecodeError, SondadError
from supervisor.reading.decode import Regime, examine
from supervisor.reading.messages import Steps, path_text
from supervisor.reading.nodes import MappingNode, Node, SequenceNode
from supervisor.reading.scalars import is_null
from supervisor.reading.yaml_text import read_yaml
from supervisor.relay.config.addresses import NO_TARGET, UnixAddress
from supervisor.relay.config.clients import resolve_client
from supervisor.relay.config.language import ConfigFile
from supervisor.relay.config.records import Client, Config, Identity, RelaySettings, UpstreamSettings
from supervisor.relay.config.values import key_text, too_long
from supervisor.relay.net.network import out_of_reach

_MAX_FILE_BYTES: Final = 64 << 20
# Settings that name what is opened or started once.
_RESTART_KEYS: Final = ("run_dir", "state_dir", "mode", "threads", "notify", "admin")


class ConfigError(SondadError):
    """A configuration file that cannot be used; `faults` are complete lines with file, line and key path."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def load(path: str, running: RelaySettings | None = None) -> Config:
    """Read and resolve the configuration file at `path`.

    Args:
        path: the file.
        running: the settings of a relay that reloads; what names open files and sockets is kept from them, with a
            warning when the file says something else.

    Raises:
        ConfigError: with every fault that refuses the file.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}; expected a readable YAML file"]) from exc
    if len(raw) > _MAX_FILE_BYTES:
        raise ConfigError([f"{path}: longer than {_MAX_FILE_BYTES} bytes"])
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8 at byte {exc.start}"]) from exc
    try:
        root = read_yaml(content)
    except DecodeError as exc:
        raise ConfigError([_line(path, exc, "not YAML: ")]) from exc
    if is_null(root):
        raise ConfigError([f"{path}:1:1: document: expected a mapping, found an empty file"])
    return _resolved(path, _decoded(path, root), root, hashlib.sha256(raw).hexdigest(), running)


def client_faults(config: Config) -> list[str]:
    """Return one line for each client that cannot be served."""
    return [
        f"{config.path}:{config.places[client.name]}: clients.{client.name}: {client.fault}"
        for client in config.clients.values()
        if client.fault
    ]


def _decoded(path: str, root: Node) -> ConfigFile:
    document, reading = examine(root, ConfigFile, regime=Regime.TAGGED)
    faults = [*reading.faults, *(unknown.fault for unknown in reading.unknown)]
    if document is not None and not faults:
        relay = document.relay
        for name, default in (("notify", relay.notify), ("admin", relay.admin)):
            fault = too_long(default.path or f"{relay.run_dir}/{name}.sock")
            if fault is not None:
                faults.append(DecodeError(fault, at=("relay", "run_dir")))
    placed = [_with_place(fault, root) for fault in faults]
    if document is None or placed:
        placed.sort(key=lambda fault: (fault.line, fault.column))
        raise ConfigError([_line(path, fault) for fault in placed])
    return document


def _resolved(path: str, file: ConfigFile, root: Node, sha256: str, running: RelaySettings | None) -> Config:
    relay = _with_defaults(file.relay)
    warnings: list[str] = []
    if running is not None:
        warnings = [f"a change of {name} needs a restart and is ignored" for name in _changes(running, relay)]
        relay = _keep(running, relay)
    upstream = None if file.upstream is None or file.upstream.target is NO_TARGET else file.upstream
    clients = {name: resolve_client(name, block, relay) for name, block in (file.clients or {}).items()}
    _refuse_shared_sockets(clients, relay)
    return Config(
        path=path,
        sha256=sha256,
        relay=relay,
        dedupe=file.dedupe,
        spool=file.spool,
        upstream=upstream,
        clients=clients,
        places=_client_places(root),
        warnings=(
            *warnings,
            *_unsendable(upstream),
            *(_equal_identities(clients) if relay.mode == "clients" else ()),
        ),
    )


def _with_defaults(relay: RelaySettings) -> RelaySettings:
    replace = msgspec.structs.replace
    pure = relay.pure
    if isinstance(pure.listen, UnixAddress):
        pure = replace(pure, listen=replace(pure.listen, mode=pure.mode))
    return replace(
        relay,
        notify=replace(relay.notify, path=relay.notify.path or f"{relay.run_dir}/notify.sock"),
        admin=replace(relay.admin, path=relay.admin.path or f"{relay.run_dir}/admin.sock"),
        pure=pure,
    )


def _changes(running: RelaySettings, read: RelaySettings) -> list[str]:
    names_changed = [name for name in _RESTART_KEYS if getattr(running, name) != getattr(read, name)]
    return names_changed + (["pure.listen"] if running.pure.listen != read.pure.listen else [])


def _keep(running: RelaySettings, read: RelaySettings) -> RelaySettings:
    pure = msgspec.structs.replace(read.pure, listen=running.pure.listen)
    return msgspec.structs.replace(read, pure=pure, **{name: getattr(running, name) for name in _RESTART_KEYS})


def _refuse_shared_sockets(clients: dict[str, Client], relay: RelaySettings) -> None:
    owners: dict[str, str] = {relay.notify.path: "relay.notify", relay.admin.path: "relay.admin"}
    for client in list(clients.values()):
        owner = owners.setdefault(client.socket, client.name)
        if owner != client.name and client.fault is None:
            clients[client.name] = msgspec.structs.replace(
                client, fault=f"socket: {client.socket} is already used by {owner}"
            )


def _unsendable(upstream: UpstreamSettings | None) -> list[str]:
    fault = None if upstream is None else out_of_reach(upstream.target)
    return [] if fault is None else [f"upstream.url: {fault}; until then updates wait in the spool"]


def _equal_identities(clients: dict[str, Client]) -> list[str]:
    seen: dict[Identity, str] = {}
    warnings = []
    for client in clients.values():
        if client.fault is None:
            first = seen.setdefault(client.identity, client.name)
            if first != client.name:
                warnings.append(f"clients {first} and {client.name} have identical identity attributes")
    return warnings


def _line(path: str, fault: DecodeError, before: str = "") -> str:
    """Return a fault as people read it: file, line, column, key path, what is wrong, and a hint."""
    hint = f"; {fault.hint}" if fault.hint else ""
    where = path_text(fault.at) or "document"
    return f"{path}:{max(fault.line, 1)}:{max(fault.column, 1)}: {where}: {before}{fault.problem}{hint}"


def _with_place(fault: DecodeError, root: Node) -> DecodeError:
    """Return a fault of which only the path is known with the place that this path leads to."""
    if fault.line:
        return fault
    node = _node_at(root, fault.at)
    return DecodeError(
        str(fault), problem=fault.problem, at=fault.at, line=node.line, column=node.column, hint=fault.hint
    )


def _node_at(root: Node, steps: Steps) -> Node:
    """Return where `steps` lead to, as far as they do."""
    node = root
    for step in steps:
        inner: Node | None = None
        if isinstance(node, MappingNode) and isinstance(step, str):
            inner = node.get(step)
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            inner = node.items[step]
        if inner is None:
            return node
        node = inner
    return node


def _client_places(root: Node) -> dict[str, str]:
    clients = root.get("clients") if isinstance(root, MappingNode) else None
    pairs = clients.items if isinstance(clients, MappingNode) else []
    return {key_text(key): f"{key.line}:{key.column}" for key, _ in pairs}
