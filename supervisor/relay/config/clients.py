"""One client of the file -> `Client`; what cannot be used of it is kept in its `fault`.

Source: examples/relay.yaml.
"""

import grp
import pwd
from pathlib import Path
from typing import Final

from supervisor.relay.config import names
from supervisor.relay.config.language import CheckBlock, ClientBlock
from supervisor.relay.config.records import CheckSettings, Client, Identity, RelaySettings
from supervisor.relay.config.values import DAY_SECS, too_long

_IDENTITY_KEYS: Final = ("uid", "user", "gid", "group", "pidfile", "unit", "cgroup", "exe")
_DEFAULT_MAX_DYNAMIC: Final = 10_000


def resolve_client(name: str, block: ClientBlock, relay: RelaySettings) -> Client:
    """Return the client that `block` describes; `relay` gives the mode and the default socket directory."""
    return _Judged(name, block, relay).client()


class _Judged:
    """One client, and what is wrong with it so far."""

    def __init__(self, name: str, block: ClientBlock, relay: RelaySettings) -> None:
        self._name = name
        self._block = block
        self._relay = relay
        self._faults: list[str] = []

    def client(self) -> Client:
        block = self._block
        identity = self._identity()
        self._judge_kind()
        path = block.socket if block.socket is not None else f"{self._relay.run_dir}/clients/{self._name}.sock"
        fault = too_long(path)
        if fault is not None:
            self._fault("socket", fault.removeprefix("socket "))
        max_dynamic = _DEFAULT_MAX_DYNAMIC if block.max_dynamic is None else block.max_dynamic
        rate = self._bounded("rate", block.rate, 0.001, 1e9)
        burst = self._bounded("burst", block.burst, 1, 1e9)
        owner_uid, owner_gid = self._id("owner", block.owner), self._id("file_group", block.file_group)
        checks = {check: self._check(check, written) for check, written in (block.checks or {}).items()}
        self._bounded("max_dynamic", max_dynamic, 1, 10_000_000)
        self._bounded("max_connections", block.max_connections, 1, 1024)
        return Client(
            name=self._name,
            fault="; ".join(self._faults) or None,
            kind=block.kind,
            identity=identity,
            children=block.children,
            accept_unknown=bool(block.accept_unknown),
            max_dynamic=max_dynamic,
            socket=path,
            mode=block.mode,
            owner_uid=owner_uid,
            owner_gid=owner_gid,
            autostart=block.autostart,
            max_connections=block.max_connections,
            rate_per_sec=rate,
            burst=burst or max(1.0, 2 * (rate or 0.0)),
            checks=checks,
        )

    def _fault(self, key: str, text: str) -> None:
        self._faults.append(f"{key}: {text}")

    def _bounded(self, key: str, value: float | None, low: float, high: float) -> float | None:
        if value is not None and not low <= value <= high:
            bounds = f"{low} to {high}" if isinstance(value, int) else f"{low:g} to {high:g}"
            self._fault(key, f"expected {bounds}, found {value if isinstance(value, int) else f'{value:g}'}")
            return None
        return value

    def _identity(self) -> Identity:
        block = self._block
        identity = Identity(
            uid=self._either("uid", block.uid, "user", block.user),
            gid=self._either("gid", block.gid, "group", block.group),
            pidfile=block.pidfile,
            unit=block.unit,
            cgroup=block.cgroup,
            exe=block.exe,
        )
        if self._relay.mode == "clients":
            if all(getattr(block, key) is None for key in _IDENTITY_KEYS):
                self._fault("identity", f"none given, expected at least one of {', '.join(_IDENTITY_KEYS)}")
            elif identity == Identity(uid=_overflow_uid()):
                self._fault("uid", f"{identity.uid} is the kernel's overflow uid, which every unmapped user has")
        return identity

    def _either(self, id_key: str, number: int | None, name_key: str, name: str | None) -> int | None:
        if name is None:
            return number
        if number is not None:
            self._fault(name_key, f"given together with {id_key}, expected one of them")
        return self._id(name_key, name)

    def _id(self, key: str, value: int | str | None) -> int | None:
        """Return the id of a user or a group, which may be named."""
        if not isinstance(value, str):
            return value
        is_user = key in ("user", "owner")
        try:
            return pwd.getpwnam(value).pw_uid if is_user else grp.getgrnam(value).gr_gid
        except KeyError:
            self._fault(key, f"no such {'user' if is_user else 'group'}: {value}")
            return None

    def _judge_kind(self) -> None:
        block = self._block
        if block.kind == "agent":
            given = {
                "accept_unknown": block.accept_unknown is not None,
                "max_dynamic": block.max_dynamic is not None,
                "children": bool(block.children),
            }
            for key in (key for key, is_given in given.items() if is_given):
                self._fault(key, "only for kind: relay")

    def _check(self, name: str, block: CheckBlock) -> CheckSettings:
        where = f"checks.{name}"
        if not names.CHECK.fullmatch(name):
            self._fault(where, f"check name, expected {names.CHECK.pattern}")
        if block.urn is None and not names.is_urn(name):
            self._fault(where, "urn is required, because the name of the check is not a URN")
        for root in block.urn or ():
            if root != names.ANY_ROOT and not names.is_urn(root):
                self._fault(f"{where}.urn", f"expected a URN of 2 to 16 segments, found {root!r}")
        if block.ttl is not None and not 1 <= block.ttl <= 30 * DAY_SECS:
            self._fault(f"{where}.ttl", f"expected 1s to 30d, found {block.ttl:g}s")
        return CheckSettings(
            roots=(name,) if block.urn is None else block.urn,
            ttl_secs=block.ttl,
            on_stale=None if block.on_stale == "none" else block.on_stale,
            description=block.description,
        )


def _overflow_uid() -> int:
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534
