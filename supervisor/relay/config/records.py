"""What the relay runs with: the configuration file with every default, unit and user name resolved, frozen.

Source: examples/relay.yaml.
"""

from typing import Literal

import msgspec

from supervisor.host.roundtrip import Target

Mode = Literal["clients", "pure"]
Kind = Literal["agent", "relay"]


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the resolved settings."""


class TcpAddress(Frozen, frozen=True):
    """A TCP address to listen on; port 0 lets the kernel choose."""

    host: str
    port: int


class UnixAddress(Frozen, frozen=True):
    """A Unix socket path with its file mode."""

    path: str
    mode: int


class LocalSocket(Frozen, frozen=True):
    """The notify or the admin socket: its path, file mode and the uids that may talk to it."""

    path: str
    mode: int
    allow_uids: frozenset[int]


class Pure(Frozen, frozen=True):
    """The one socket of pure mode. `token` is the content of the token file, None when no bearer is required."""

    listen: TcpAddress | UnixAddress
    token: str | None
    default_client: str
    accept_unknown: bool
    max_dynamic: int


class RelaySettings(Frozen, frozen=True):
    """The `relay` section. Sizes in bytes."""

    id: str
    mode: Mode
    run_dir: str
    state_dir: str
    api_versions: tuple[str, ...]
    server_name: str
    max_body_bytes: int
    max_header_bytes: int
    request_timeout_secs: float
    drain_timeout_secs: float
    threads: int
    log_level: str
    audit_body: bool
    history: int
    reconcile_secs: float
    notify: LocalSocket
    admin: LocalSocket
    admin_tcp: TcpAddress | None
    pure: Pure


class Dedupe(Frozen, frozen=True):
    """How long and how many request ids are remembered; a window of 0 switches the suppression off."""

    window_secs: float
    max_entries: int


class SpoolLimits(Frozen, frozen=True):
    """The bounds of the spool and what happens at them."""

    max_entries: int
    max_bytes: int
    max_age_secs: float
    on_full: Literal["drop_oldest", "reject"]
    sync: Literal["commit", "off"]


class Upstream(Frozen, frozen=True):
    """The parent to forward to. `token` and `ca_certificates` are the contents of their files, read with the rest."""

    target: Target
    token: str | None
    ca_certificates: str | None
    timeout_secs: float
    concurrency: int
    backoff_initial_secs: float
    backoff_max_secs: float
    jitter: float
    forward: Literal["all", "transitions"]
    heartbeat_secs: float


class Identity(Frozen, frozen=True):
    """The attributes a peer must have; every attribute given must match."""

    uid: int | None = None
    gid: int | None = None
    pidfile: str | None = None
    unit: str | None = None
    cgroup: str | None = None
    exe: str | None = None


class Check(Frozen, frozen=True):
    """One check of one client. `roots` are URN roots; `("*",)` switches the comparison off."""

    roots: tuple[str, ...]
    ttl_secs: float | None = None
    on_stale: Literal["warn", "error"] | None = None
    description: str = ""


class Client(Frozen, frozen=True):
    """One client. `fault` says why it cannot be served; then everything else may be incomplete.

    `mode` None means "as the identity suggests", see `supervisor.relay.net.unixsock`.
    """

    name: str
    fault: str | None
    kind: Kind
    identity: Identity
    children: tuple[str, ...]
    accept_unknown: bool
    max_dynamic: int
    socket: str
    mode: int | None
    owner_uid: int | None
    owner_gid: int | None
    autostart: bool
    max_connections: int
    rate_per_sec: float | None
    burst: float
    checks: dict[str, Check]


class Config(Frozen, frozen=True):
    """A whole configuration file. `sha256` is the hex digest of its bytes."""

    path: str
    sha256: str
    relay: RelaySettings
    dedupe: Dedupe
    spool: SpoolLimits
    upstream: Upstream | None
    clients: dict[str, Client]
    warnings: tuple[str, ...]
