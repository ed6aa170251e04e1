"""The file as it is written, as far as it is not what the relay runs with already: its whole, and the clients.

A wrong type or an unknown key anywhere refuses the file. Values of a client that only look unusable (a user that does
not exist, a number out of bounds) are its own fault and leave the others alone, so they are read here and judged in
`clients.py`.

Source: examples/relay.yaml.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import field

from supervisor.relay.config import names
from supervisor.relay.config.records import ClientKind, Dedupe, RelaySettings, SpoolLimits, UpstreamSettings
from supervisor.relay.config.values import (
    MAX_ID,
    abs_path,
    duration,
    file_mode,
    id_or_name,
    integer,
    key_text,
    matching,
    number,
    one_or_more,
    read_by,
    text,
)

PlainText = Annotated[str, read_by(text, "text")]
AbsPath = Annotated[str, read_by(abs_path, "absolute path")]
AnyId = Annotated[int, integer(0, MAX_ID)]
IdOrName = Annotated[int | str, read_by(id_or_name, "number or name")]
AnyInteger = Annotated[int, integer(-(2**62), 2**62)]
AnyNumber = Annotated[float, number(-1e300, 1e300)]


class CheckBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one client."""

    urn: Annotated[tuple[str, ...], read_by(one_or_more, "text, or list of texts")] | None = None
    ttl: Annotated[float, duration(0, 1e9)] | None = None
    on_stale: Literal["none", "warn", "error"] = "none"
    description: PlainText = ""


class ClientBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One client."""

    kind: ClientKind = "agent"
    uid: AnyId | None = None
    user: PlainText | None = None
    gid: AnyId | None = None
    group: PlainText | None = None
    pidfile: AbsPath | None = None
    unit: PlainText | None = None
    cgroup: PlainText | None = None
    exe: AbsPath | None = None
    children: tuple[PlainText, ...] = ()
    accept_unknown: bool | None = None
    max_dynamic: AnyInteger | None = None
    socket: AbsPath | None = None
    mode: Annotated[int, read_by(file_mode, 'file mode, such as `"0660"`')] | None = None
    owner: IdOrName | None = None
    file_group: IdOrName | None = None
    autostart: bool = True
    max_connections: AnyInteger = 16
    rate: AnyNumber | None = None
    burst: AnyNumber | None = None
    checks: dict[Annotated[str, read_by(key_text, "text")], CheckBlock] | None = None


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    version: Annotated[int, integer(1, 1)]
    relay: RelaySettings = field(default_factory=RelaySettings)
    dedupe: Dedupe = Dedupe()
    spool: SpoolLimits = SpoolLimits()
    upstream: UpstreamSettings | None = None
    clients: dict[Annotated[str, matching(names.CLIENT, "client name, ")], ClientBlock] | None = None
