"""The configuration file: text -> `Config`, or every fault of it.

A fault of the file (unknown or duplicate keys, wrong types, values out of bounds outside `clients`) refuses it as a
whole. A fault inside one client's values is kept in that client's `fault`; the others are served.

Source: examples/relay.yaml.
"""

import hashlib
import ipaddress
import os
import pwd
import socket
import ssl
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from common.errors import SondadError
from common.urls import shown_url
from supervisor.host.roundtrip import Target, unix_target
from supervisor.reading.nodes import Mapping, Node
from supervisor.relay.config import names
from supervisor.relay.config.client_reader import read_client
from supervisor.relay.config.records import (
    Client,
    Config,
    Dedupe,
    Identity,
    LocalSocket,
    Mode,
    Pure,
    RelaySettings,
    SpoolLimits,
    TcpAddress,
    UnixAddress,
    Upstream,
)
from supervisor.relay.config.section import (
    Faults,
    Parser,
    Section,
    abs_path,
    boolean,
    compose,
    duration,
    file_mode,
    id_or_name,
    integer,
    list_of,
    matching,
    number,
    one_of,
    size,
    text,
)
from supervisor.relay.net.unixsock import MAX_PATH_BYTES

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_MAX_FILE_BYTES: Final = 64 << 20
_DAY_SECS: Final = 86400.0
# Settings that name what is opened or started once.
_RESTART_KEYS: Final = ("run_dir", "state_dir", "mode", "threads", "notify", "admin", "admin_tcp")


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
            octets = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}; expected a readable YAML file"]) from exc
    if len(octets) > _MAX_FILE_BYTES:
        raise ConfigError([f"{path}: longer than {_MAX_FILE_BYTES} bytes"])
    try:
        content = octets.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8 at byte {exc.start}"]) from exc
    faults = Faults(path)
    document = compose(content, faults)
    config = _document(document, faults, hashlib.sha256(octets).hexdigest(), running) if document else None
    if faults.texts or config is None:
        raise ConfigError(faults.texts)
    return config


def client_faults(config: Config) -> list[str]:
    """Return one line for each client that cannot be served."""
    return [
        f"{config.path}: clients.{client.name}: {client.fault}" for client in config.clients.values() if client.fault
    ]


def _document(document: Section, faults: Faults, sha256: str, running: RelaySettings | None) -> Config:
    if not document.has("version"):
        document.fault("version", "missing, expected 1")
    document.take("version", integer(1, 1))
    relay = _relay(document.section("relay"))
    warnings: list[str] = []
    if running is not None:
        warnings = [f"a change of {name} needs a restart and is ignored" for name in _changes(running, relay)]
        relay = _keep(running, relay)
    dedupe = document.section("dedupe")
    spool = document.section("spool")
    config_dedupe = Dedupe(
        window_secs=dedupe.take("window", duration(0, 366 * _DAY_SECS), 3600.0),
        max_entries=dedupe.take("max_entries", integer(1, 100_000_000), 100_000),
    )
    config_spool = SpoolLimits(
        max_entries=spool.take("max_entries", integer(1, 100_000_000), 100_000),
        max_bytes=spool.take("max_bytes", size(1 << 10, 1 << 40), 64 << 20),
        max_age_secs=spool.take("max_age", duration(1, 366 * _DAY_SECS), _DAY_SECS),
        on_full=spool.take("on_full", one_of("drop_oldest", "reject"), "drop_oldest"),
        sync=spool.take("sync", one_of("commit", "off"), "commit"),
    )
    upstream = _upstream(document.section("upstream")) if document.has("upstream") else None
    clients: dict[str, Client] = {}
    for name, section in document.section("clients").sections():
        if names.CLIENT.fullmatch(name):
            clients[name] = read_client(name, section, relay)
        else:
            faults.add(section.node, section.path, f"client name, expected {names.CLIENT.pattern}")
    for section in (dedupe, spool, document):
        section.close()
    _refuse_shared_sockets(clients, relay)
    return Config(
        path=faults.file,
        sha256=sha256,
        relay=relay,
        dedupe=config_dedupe,
        spool=config_spool,
        upstream=upstream,
        clients=clients,
        warnings=(*warnings, *(_equal_identities(clients) if relay.mode == "clients" else ())),
    )


def _changes(running: RelaySettings, read: RelaySettings) -> list[str]:
    names_changed = [name for name in _RESTART_KEYS if getattr(running, name) != getattr(read, name)]
    return names_changed + (["pure.listen"] if running.pure.listen != read.pure.listen else [])


def _keep(running: RelaySettings, read: RelaySettings) -> RelaySettings:
    pure = msgspec.structs.replace(read.pure, listen=running.pure.listen)
    return msgspec.structs.replace(read, pure=pure, **{name: getattr(running, name) for name in _RESTART_KEYS})


def _relay(section: Section) -> RelaySettings:
    run_dir = section.take("run_dir", abs_path, "/run/sondad/relay")
    admin = section.section("admin")
    pure = section.section("pure")
    mode = cast(Mode, section.take("mode", one_of("clients", "pure"), "clients"))
    settings = RelaySettings(
        id=section.take("id", matching(names.RELAY_ID), _host_id()),
        mode=mode,
        run_dir=run_dir,
        state_dir=section.take("state_dir", abs_path, "/var/lib/sondad/relay"),
        api_versions=section.take("api_versions", list_of(_header_text, 1), ("2011-06-30", "6.1.0")),
        server_name=section.take("server_name", _header_text, "Joyent"),
        max_body_bytes=section.take("max_body", size(1 << 10, 16 << 20), 64 << 10),
        max_header_bytes=section.take("max_header", size(1 << 10, 256 << 10), 16 << 10),
        request_timeout_secs=section.take("request_timeout", duration(0.1, 300), 10.0),
        drain_timeout_secs=section.take("drain_timeout", duration(0, 300), 5.0),
        threads=section.take("threads", integer(1, 64), 8),
        log_level=section.take("log_level", one_of(*LOG_LEVELS), "info"),
        audit_body=section.take("audit_body", boolean, default=False),
        history=section.take("history", integer(0, 10_000), 100),
        reconcile_secs=section.take("reconcile", duration(1, 3600), 60.0),
        notify=_local_socket(section.section("notify"), f"{run_dir}/notify.sock"),
        admin_tcp=admin.take("tcp", _loopback_address),
        admin=_local_socket(admin, f"{run_dir}/admin.sock"),
        pure=_pure(pure),
    )
    if mode != "pure" and isinstance(pure.node, Mapping) and pure.node.items:
        section.fault("pure", "only allowed with mode: pure")
    section.close()
    return settings


def _local_socket(section: Section, default_path: str) -> LocalSocket:
    settings = LocalSocket(
        path=section.take("path", abs_path, default_path),
        mode=section.take("mode", file_mode, 0o600),
        allow_uids=frozenset(section.take("allow_uids", list_of(_user)) or (0, os.geteuid())),
    )
    if len(os.fsencode(settings.path)) > MAX_PATH_BYTES:
        section.fault("path", f"socket path longer than {MAX_PATH_BYTES} bytes: {settings.path}")
    section.close()
    return settings


def _user(node: Node) -> int:
    """Return the uid that a number or the name of a user stands for."""
    value = id_or_name(node)
    if isinstance(value, int):
        return value
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError as exc:
        raise ValueError(f"no such user: {value}") from exc


def _pure(section: Section) -> Pure:
    mode = section.take("mode", file_mode, 0o660)
    listen = section.take("listen", _tcp_or_unix(mode)) or TcpAddress(host="127.0.0.1", port=8081)
    pure = Pure(
        listen=listen,
        token=section.take("token_file", _secret),
        default_client=section.take("default_client", matching(names.CLIENT), "default"),
        accept_unknown=section.take("accept_unknown", boolean, default=False),
        max_dynamic=section.take("max_dynamic", integer(1, 10_000_000), 10_000),
    )
    section.close()
    return pure


def _upstream(section: Section) -> Upstream | None:
    target = section.take("url", _target)
    backoff = section.section("backoff")
    token = section.take("token_file", _secret)
    ca_certificates = section.take("ca_file", _certificates)
    timeout_secs = section.take("timeout", duration(0.1, 600), 10.0)
    concurrency = section.take("concurrency", integer(1, 64), 4)
    initial_secs = backoff.take("initial", duration(0.01, 3600), 1.0)
    max_secs = backoff.take("max", duration(0.01, 86400), 30.0)
    jitter = backoff.take("jitter", number(0, 1), 0.5)
    forward = section.take("forward", one_of("all", "transitions"), "all")
    heartbeat_secs = section.take("heartbeat", duration(1, 30 * _DAY_SECS), 300.0)
    if max_secs < initial_secs:
        section.fault("backoff", f"max {max_secs:g}s is less than initial {initial_secs:g}s")
    backoff.close()
    section.close()
    if target is None:
        return None
    return Upstream(
        target=target,
        token=token,
        ca_certificates=ca_certificates,
        timeout_secs=timeout_secs,
        concurrency=concurrency,
        backoff_initial_secs=initial_secs,
        backoff_max_secs=max_secs,
        jitter=jitter,
        forward=forward,  # type: ignore[arg-type]
        heartbeat_secs=heartbeat_secs,
    )


def _refuse_shared_sockets(clients: dict[str, Client], relay: RelaySettings) -> None:
    owners: dict[str, str] = {relay.notify.path: "relay.notify", relay.admin.path: "relay.admin"}
    for client in list(clients.values()):
        owner = owners.setdefault(client.socket, client.name)
        if owner != client.name and client.fault is None:
            clients[client.name] = msgspec.structs.replace(
                client, fault=f"socket: {client.socket} is already used by {owner}"
            )


def _equal_identities(clients: dict[str, Client]) -> list[str]:
    seen: dict[Identity, str] = {}
    warnings = []
    for client in clients.values():
        if client.fault is None:
            first = seen.setdefault(client.identity, client.name)
            if first != client.name:
                warnings.append(f"clients {first} and {client.name} have identical identity attributes")
    return warnings


def _host_id() -> str:
    name = socket.gethostname()
    return name if names.RELAY_ID.fullmatch(name) else "relay"


def _header_text(node: Node) -> str:
    value = text(node)
    if not value or value != value.strip() or not value.isascii() or not value.isprintable():
        raise ValueError(f"expected printable ASCII without blanks at its ends, found {value[:60]!r}")
    return value


def _tcp_or_unix(mode: int) -> Parser[TcpAddress | UnixAddress]:
    def parse(node: Node) -> TcpAddress | UnixAddress:
        value = text(node)
        if not value.startswith("unix:"):
            return _tcp_address(value)
        path = value.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise ValueError(f"expected unix:/abs/path of at most {MAX_PATH_BYTES} bytes, found {value[:200]!r}")
        return UnixAddress(path=path, mode=mode)

    return parse


def _tcp_address(value: str) -> TcpAddress:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise ValueError(f"expected host:port, found {value[:60]!r}")
    return TcpAddress(host=host.removeprefix("[").removesuffix("]"), port=int(port))


def _loopback_address(node: Node) -> TcpAddress:
    address = _tcp_address(text(node))
    try:
        loopback = address.host == "localhost" or ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"expected a loopback address, found {address.host!r}")
    return address


def _secret(node: Node) -> str:
    path = abs_path(node)
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"cannot read the token from {path}: {exc}") from exc
    if not token or not token.isprintable() or " " in token:
        raise ValueError(f"expected one printable ASCII token without blanks in {path}")
    return token


def _certificates(node: Node) -> str:
    """Return the content of a file of certificates that TLS can use: whatever is wrong with it shows here."""
    path = abs_path(node)
    try:
        pem = Path(path).read_text(encoding="ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (OSError, ValueError) as exc:
        raise ValueError(f"cannot use {path}: {exc}; expected certificates in PEM form") from exc
    return pem


def _target(node: Node) -> Target:
    url = text(node)
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise ValueError(f"expected unix:/abs/path of at most {MAX_PATH_BYTES} bytes, found {url[:200]!r}")
        return unix_target(path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ValueError("not a URL: its host or port cannot be read") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise ValueError(
            f"expected http://host:port, https://host:port or unix:/abs/path, found {shown_url(url)[:60]!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected no user, query or fragment in the URL; a token belongs into token_file")
    return Target(
        url=url,
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        path="",
        prefix=parts.path.rstrip("/"),
    )
