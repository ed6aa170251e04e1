"""What the relay runs with: the configuration file with every default, unit and user name resolved, frozen.

The sections that the file writes directly say at their fields how these are read, and how they are named there.

Source: examples/relay.yaml.
"""

import os
import socket
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import field

from common.errors import DecodeError
from supervisor.host.roundtrip import Target
from supervisor.relay.config import names
from supervisor.relay.config.addresses import (
    NO_TARGET,
    TcpAddress,
    UnixAddress,
    certificate_file,
    header_text,
    loopback_address,
    parent_url,
    secret_file,
    tcp_or_unix,
    user,
)
from supervisor.relay.config.values import (
    DAY_SECS,
    abs_path,
    duration,
    file_mode,
    integer,
    matching,
    number,
    octal,
    read_by,
    size,
    socket_path,
)
from supervisor.relay.net.network import NO_NETWORK, has_network

Mode = Literal["clients", "pure"]
ClientKind = Literal["agent", "relay"]
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: Final = get_args(LogLevel)
ModeOfFile = Annotated[int, read_by(file_mode, "file mode", octal)]
TokenFile = Annotated[str, read_by(secret_file, "path of a file with the token")]
CertificateFile = Annotated[str, read_by(certificate_file, "path of a file with certificates")]
ParentUrl = Annotated[Target, read_by(parent_url, "URL, or `unix:/PATH`", default="required")]
UserId = Annotated[int, read_by(user, "numbers or names of users", default="root, and the user of the relay")]
ListenAddress = Annotated[
    TcpAddress | UnixAddress, read_by(tcp_or_unix, "`HOST:PORT` or `unix:/PATH`", "{0.host}:{0.port}".format)
]
HeaderText = Annotated[str, read_by(header_text, "text for a header")]


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the resolved settings."""


def _host_id() -> str:
    name = socket.gethostname()
    return name if names.RELAY_ID.fullmatch(name) else "relay"


class LocalSocket(Frozen, frozen=True):
    """The notify or the admin socket: its path, file mode and the uids that may talk to it.

    An empty path stands for the default one, below `run_dir`; `tcp` is for the admin socket only.
    """

    path: Annotated[str, read_by(socket_path, "path of a socket", default="below `run_dir`")] = ""
    mode: ModeOfFile = 0o600
    allow_uids: tuple[UserId, ...] = field(default_factory=lambda: (0, os.geteuid()))


class AdminSocket(LocalSocket, frozen=True):
    """The admin socket, and where TCP clients of this machine may read the same."""

    tcp: Annotated[TcpAddress, read_by(loopback_address, "`IP:PORT` of loopback")] | None = None


class Pure(Frozen, frozen=True):
    """The one socket of pure mode.

    `token` is the content of the token file, None when no bearer is required.
    """

    listen: ListenAddress = TcpAddress(host="127.0.0.1", port=8081)
    mode: ModeOfFile = 0o660
    token: TokenFile | None = field(default=None, name="token_file")
    default_client: Annotated[str, matching(names.CLIENT)] = "default"
    accept_unknown: bool = False
    max_dynamic: Annotated[int, integer(1, 10_000_000)] = 10_000


_NO_PURE: Final = Pure()


class RelaySettings(Frozen, frozen=True):
    """The relay itself: its name, its directories, its limits and its sockets."""

    id: Annotated[str, matching(names.RELAY_ID, default="name of the machine")] = field(default_factory=_host_id)
    mode: Mode = "clients"
    run_dir: Annotated[str, read_by(abs_path, "absolute path")] = "/run/sondad/relay"
    state_dir: Annotated[str, read_by(abs_path, "absolute path")] = "/var/lib/sondad/relay"
    api_versions: tuple[HeaderText, ...] = ("2011-06-30", "6.1.0")
    server_name: HeaderText = "Joyent"
    max_body_bytes: Annotated[int, size(1 << 10, 16 << 20)] = field(default=64 << 10, name="max_body")
    max_header_bytes: Annotated[int, size(1 << 10, 256 << 10)] = field(default=16 << 10, name="max_header")
    request_timeout_secs: Annotated[float, duration(0.1, 300)] = field(default=10.0, name="request_timeout")
    drain_timeout_secs: Annotated[float, duration(0, 300)] = field(default=5.0, name="drain_timeout")
    threads: Annotated[int, integer(1, 64)] = 8
    log_level: LogLevel = "info"
    audit_body: bool = False
    history: Annotated[int, integer(0, 10_000)] = 100
    reconcile_secs: Annotated[float, duration(1, 3600)] = field(default=60.0, name="reconcile")
    notify: LocalSocket = LocalSocket()
    admin: AdminSocket = AdminSocket()
    pure: Pure = _NO_PURE

    def check(self) -> None:
        """Refuse what only the fields together show.

        Raises:
            DecodeError: the field, and what is wrong with it.
        """
        if not self.api_versions:
            raise DecodeError("expected at least 1 item, found 0", at=("api_versions",))
        if self.mode != "pure" and self.pure != _NO_PURE:
            raise DecodeError("only allowed with mode: pure", at=("pure",))
        if self.admin.tcp is not None and not has_network():
            raise DecodeError(NO_NETWORK, at=("admin", "tcp"))
        if self.mode == "pure" and isinstance(self.pure.listen, TcpAddress) and not has_network():
            raise DecodeError(NO_NETWORK, at=("pure", "listen"))


class Dedupe(Frozen, frozen=True):
    """How long and how many request ids are remembered; a window of 0 switches the suppression off."""

    window_secs: Annotated[float, duration(0, 366 * DAY_SECS)] = field(default=3600.0, name="window")
    max_entries: Annotated[int, integer(1, 100_000_000)] = 100_000


class SpoolLimits(Frozen, frozen=True):
    """The bounds of the spool and what happens at them."""

    max_entries: Annotated[int, integer(1, 100_000_000)] = 100_000
    max_bytes: Annotated[int, size(1 << 10, 1 << 40)] = 64 << 20
    max_age_secs: Annotated[float, duration(1, 366 * DAY_SECS)] = field(default=DAY_SECS, name="max_age")
    on_full: Literal["drop_oldest", "reject"] = "drop_oldest"
    sync: Literal["commit", "off"] = "commit"


class UpstreamBackoff(Frozen, frozen=True):
    """The pauses between attempts: doubling from `initial` to `max`, shortened by a part up to `jitter`."""

    initial_secs: Annotated[float, duration(0.01, 3600)] = field(default=1.0, name="initial")
    max_secs: Annotated[float, duration(0.01, 86400)] = field(default=30.0, name="max")
    jitter: Annotated[float, number(0, 1)] = 0.5

    def check(self) -> None:
        """Refuse a range that is none.

        Raises:
            DecodeError: the bounds.
        """
        if self.max_secs < self.initial_secs:
            raise DecodeError(f"max {self.max_secs:g}s is less than initial {self.initial_secs:g}s")


class UpstreamSettings(Frozen, frozen=True):
    """The parent to forward to.

    `token` and `ca_certificates` are the contents of their files, read with the rest.
    """

    target: ParentUrl = field(default=NO_TARGET, name="url")
    token: TokenFile | None = field(default=None, name="token_file")
    ca_certificates: CertificateFile | None = field(default=None, name="ca_file")
    timeout_secs: Annotated[float, duration(0.1, 600)] = field(default=10.0, name="timeout")
    concurrency: Annotated[int, integer(1, 64)] = 4
    backoff: UpstreamBackoff = UpstreamBackoff()
    forward: Literal["all", "transitions"] = "all"
    heartbeat_secs: Annotated[float, duration(1, 30 * DAY_SECS)] = field(default=300.0, name="heartbeat")


class Identity(Frozen, frozen=True):
    """The attributes a peer must have; every attribute given must match."""

    uid: int | None = None
    gid: int | None = None
    pidfile: str | None = None
    unit: str | None = None
    cgroup: str | None = None
    exe: str | None = None


class CheckSettings(Frozen, frozen=True):
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
    kind: ClientKind
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
    checks: dict[str, CheckSettings]


class Config(Frozen, frozen=True):
    """A whole configuration file.

    Attributes:
        sha256: the hex digest of its bytes.
        places: where the file has each client, `line:column`.
    """

    path: str
    sha256: str
    relay: RelaySettings
    dedupe: Dedupe
    spool: SpoolLimits
    upstream: UpstreamSettings | None
    clients: dict[str, Client]
    places: dict[str, str]
    warnings: tuple[str, ...]
