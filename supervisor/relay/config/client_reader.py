"""One entry of `clients`: its mapping -> `Client`, unusable values kept in its `fault`.

Source: examples/relay.yaml.
"""

import grp
import os
import pwd
from pathlib import Path
from typing import Final, cast

import msgspec

from supervisor.relay.config import names
from supervisor.relay.config.records import Check, Client, Identity, Kind, RelaySettings
from supervisor.relay.config.section import (
    MAX_ID,
    Section,
    abs_path,
    boolean,
    duration,
    file_mode,
    id_or_name,
    integer,
    list_of,
    number,
    one_of,
    text,
    text_or_list,
)
from supervisor.relay.net.unixsock import MAX_PATH_BYTES

_UID: Final = integer(0, MAX_ID)
_IDENTITY_KEYS: Final = ("uid", "user", "gid", "group", "pidfile", "unit", "cgroup", "exe")
_DAY_SECS: Final = 86400.0


class _ClientSection:
    """A client's mapping: wrong types and unknown keys are the file's faults, unusable values the client's own."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.faults: list[str] = []

    def fault(self, key: str, text: str) -> None:
        self.faults.append(f"{key}: {text}")

    def integer(self, key: str, low: int, high: int, default: int) -> int:
        value = self.section.take(key, integer(-(2**62), 2**62), default)
        if not low <= value <= high:
            self.fault(key, f"expected {low} to {high}, found {value}")
            return default
        return value

    def number(self, key: str, low: float, high: float) -> float | None:
        value = self.section.take(key, number(-1e300, 1e300))
        if value is not None and not low <= value <= high:
            self.fault(key, f"expected {low:g} to {high:g}, found {value:g}")
            return None
        return value

    def uid(self, id_key: str, name_key: str) -> int | None:
        uid = self.section.take(id_key, _UID)
        name = self.section.take(name_key, text)
        if uid is not None and name is not None:
            self.fault(name_key, f"given together with {id_key}, expected one of them")
        if name is None:
            return uid
        try:
            return pwd.getpwnam(name).pw_uid if name_key in ("user", "owner") else grp.getgrnam(name).gr_gid
        except KeyError:
            self.fault(name_key, f"no such {name_key}: {name}")
            return None


def read_client(name: str, section: Section, relay: RelaySettings) -> Client:
    """Read the mapping of client `name`; `relay` gives the mode and the default socket directory."""
    reader = _ClientSection(section)
    kind = cast(Kind, section.take("kind", one_of("agent", "relay"), "agent"))
    given = [key for key in _IDENTITY_KEYS if section.has(key)]
    identity = Identity(
        uid=reader.uid("uid", "user"),
        gid=reader.uid("gid", "group"),
        pidfile=section.take("pidfile", abs_path),
        unit=section.take("unit", text),
        cgroup=section.take("cgroup", text),
        exe=section.take("exe", abs_path),
    )
    if relay.mode == "clients":
        if not given:
            reader.fault("identity", f"none given, expected at least one of {', '.join(_IDENTITY_KEYS)}")
        elif identity == Identity(uid=_overflow_uid()):
            reader.fault("uid", f"{identity.uid} is the kernel's overflow uid, which every unmapped user has")
    children = section.take("children", list_of(text)) or ()
    if kind == "agent":
        for key in ("accept_unknown", "max_dynamic"):
            if section.has(key):
                reader.fault(key, "only for kind: relay")
        if children:
            reader.fault("children", "only for kind: relay")
    socket_path = section.take("socket", abs_path, f"{relay.run_dir}/clients/{name}.sock")
    if len(os.fsencode(socket_path)) > MAX_PATH_BYTES:
        reader.fault("socket", f"path longer than {MAX_PATH_BYTES} bytes: {socket_path}")
    rate = reader.number("rate", 0.001, 1e9)
    burst = reader.number("burst", 1, 1e9)
    client = Client(
        name=name,
        fault=None,
        kind=kind,
        identity=identity,
        children=children,
        accept_unknown=section.take("accept_unknown", boolean, default=False),
        max_dynamic=reader.integer("max_dynamic", 1, 10_000_000, 10_000),
        socket=socket_path,
        mode=section.take("mode", file_mode),
        owner_uid=_named_id(reader, "owner"),
        owner_gid=_named_id(reader, "file_group"),
        autostart=section.take("autostart", boolean, default=True),
        max_connections=reader.integer("max_connections", 1, 1024, 16),
        rate_per_sec=rate,
        burst=burst or max(1.0, 2 * (rate or 0.0)),
        checks=_checks(reader),
    )
    section.close()
    if reader.faults:
        return msgspec.structs.replace(client, fault="; ".join(reader.faults))
    return client


def _named_id(reader: _ClientSection, key: str) -> int | None:
    """Return the id of `owner` or `file_group`, which may be a name or a number."""
    value = reader.section.take(key, id_or_name)
    if not isinstance(value, str):
        return value
    try:
        return pwd.getpwnam(value).pw_uid if key == "owner" else grp.getgrnam(value).gr_gid
    except KeyError:
        reader.fault(key, f"no such {'user' if key == 'owner' else 'group'}: {value}")
        return None


def _checks(reader: _ClientSection) -> dict[str, Check]:
    checks: dict[str, Check] = {}
    for name, section in reader.section.section("checks").sections():
        where = f"checks.{name}"
        if not names.CHECK.fullmatch(name):
            reader.fault(where, f"check name, expected {names.CHECK.pattern}")
        roots = section.take("urn", text_or_list)
        if roots is None:
            roots = (name,)
            if not names.is_urn(name):
                reader.fault(where, "urn is required, because the name of the check is not a URN")
        for root in roots:
            if root != names.ANY_ROOT and not names.is_urn(root):
                reader.fault(f"{where}.urn", f"expected a URN of 2 to 16 segments, found {root!r}")
        ttl_secs = section.take("ttl", duration(0, 1e9))
        if ttl_secs is not None and not 1 <= ttl_secs <= 30 * _DAY_SECS:
            reader.fault(f"{where}.ttl", f"expected 1s to 30d, found {ttl_secs:g}s")
        on_stale = section.take("on_stale", one_of("none", "warn", "error"), "none")
        checks[name] = Check(
            roots=roots,
            ttl_secs=ttl_secs,
            on_stale=None if on_stale == "none" else on_stale,  # type: ignore[arg-type]
            description=section.take("description", text, ""),
        )
        section.close()
    return checks


def _overflow_uid() -> int:
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534
