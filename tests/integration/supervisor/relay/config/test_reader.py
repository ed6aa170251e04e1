"""Reading the configuration file: defaults, bounds, and what is whose fault."""

import contextlib
import os
import pwd
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.relay.clients.sockets import access
from supervisor.relay.config.addresses import TcpAddress, UnixAddress
from supervisor.relay.config.reader import ConfigError, client_faults, load
from supervisor.relay.config.records import Config


def read(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "relay.yaml"
    file.write_text(text)
    return load(str(file))


def faults(tmp_path: Path, text: str) -> list[str]:
    """Return the faults without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return [fault.removeprefix(f"{tmp_path}/relay.yaml:") for fault in caught.value.faults]


def test_the_minimal_file_has_the_defaults(tmp_path: Path) -> None:
    """Every default, spelled out."""
    config = read(tmp_path, "version: 1\nupstream: {url: 'http://10.1.0.9:8081/api/'}\n")
    relay = config.relay
    assert (relay.mode, relay.run_dir, relay.state_dir) == ("clients", "/run/sondad/relay", "/var/lib/sondad/relay")
    assert (relay.api_versions, relay.server_name) == (("2011-06-30", "6.1.0"), "Joyent")
    assert (relay.max_body_bytes, relay.max_header_bytes) == (65536, 16384)
    assert (relay.request_timeout_secs, relay.drain_timeout_secs, relay.threads) == (10, 5, 8)
    assert (relay.history, relay.reconcile_secs, relay.log_level, relay.audit_body) == (100, 60, "info", False)
    assert relay.admin.path == "/run/sondad/relay/admin.sock"
    assert relay.notify.allow_uids == (0, os.geteuid())
    assert relay.pure.listen == TcpAddress(host="127.0.0.1", port=8081)
    assert (config.dedupe.window_secs, config.dedupe.max_entries) == (3600, 100_000)
    spool = config.spool
    assert (spool.max_entries, spool.max_bytes, spool.max_age_secs) == (100_000, 64 << 20, 86400)
    assert (spool.on_full, spool.sync) == ("drop_oldest", "commit")
    upstream = config.upstream
    assert upstream is not None
    assert (upstream.target.host, upstream.target.port, upstream.target.prefix) == ("10.1.0.9", 8081, "/api")
    assert (upstream.timeout_secs, upstream.concurrency, upstream.backoff.jitter) == (10, 4, 0.5)
    assert (upstream.backoff.initial_secs, upstream.backoff.max_secs) == (1, 30)
    assert (upstream.forward, upstream.heartbeat_secs) == ("all", 300)


def test_words_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    """`off` is a text, a date an API version, an integer key its decimal string."""
    text = (
        "version: 1\nrelay: {api_versions: [2011-06-30]}\nspool: {sync: off}\n"
        "clients: {on: {uid: 1, checks: {77: {urn: 'a:b'}}}}\n"
    )
    config = read(tmp_path, text)
    assert (config.spool.sync, config.relay.api_versions) == ("off", ("2011-06-30",))
    assert list(config.clients["on"].checks) == ["77"]


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    """Integers of any base are integers, also as keys; modes need no quotes; a byte order mark is no text."""
    text = (
        "\ufeffversion: 0x1\nrelay: {notify: {mode: 0600}, threads: 0o10}\n"
        "clients: {a: {uid: 0x10, mode: '660', checks: {0x1F: {urn: 'a:b'}, 0o17: {urn: 'a:b'}, 017: {urn: 'a:b'}}}}\n"
    )
    config = read(tmp_path, text)
    assert (config.relay.notify.mode, config.relay.threads) == (0o600, 8)
    assert (config.clients["a"].identity.uid, config.clients["a"].mode) == (16, 0o660)
    assert list(config.clients["a"].checks) == ["31", "15", "017"]


def test_users_of_the_admin_socket_may_be_named(tmp_path: Path) -> None:
    """So that the control plane's user can be let in whatever its number is."""
    config = read(tmp_path, "version: 1\nrelay: {admin: {allow_uids: [root, daemon, 2105]}}\n")
    assert config.relay.admin.allow_uids == (0, pwd.getpwnam("daemon").pw_uid, 2105)
    (fault,) = faults(tmp_path, "version: 1\nrelay: {admin: {allow_uids: [no-such-user]}}\n")
    assert fault == "2:30: relay.admin.allow_uids[0]: no such user: no-such-user"


def test_certificates_are_tried_when_the_file_is_read(tmp_path: Path) -> None:
    """A file that TLS cannot use is a fault of the configuration, not of the relay that runs with it."""
    (tmp_path / "garbage").write_text("garbage")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    (tmp_path / "empty").write_text("")
    for name in ("garbage", "binary", "empty", "missing"):
        text = f"version: 1\nupstream: {{url: 'https://x', ca_file: {tmp_path}/{name}}}"
        (fault,) = faults(tmp_path, text)
        assert fault.startswith(f"2:39: upstream.ca_file: cannot use {tmp_path}/{name}"), fault


FILE_FAULTS = {
    "": "1:1: document: expected a mapping, found an empty file",
    "[1]": "1:1: document: invalid type: sequence, expected a map",
    "{": "2:1: document: not YAML: did not find expected node content while parsing a flow node",
    "version: 1\n---\nversion: 1\n": "1:1: document: not YAML: more than one document; expected a single one",
    "relay: {}": "1:1: document: missing field `version`",
    "version: 1.0": "1:10: version: expected an integer, found floating point `1.0`",
    "version: 1\nversion: 1": '2:1: version: duplicate entry with key "version"',
    "version: 1\nother: 1": "2:1: other: unknown field `other`, expected one of `version`, `relay`, `dedupe`, `spoo",
    "version: 1\nrelay:\n  max_body: 1000": "3:13: relay.max_body: expected 1024 to 16777216 bytes, found 1000",
    "version: 1\nrelay:\n  max_body: 64 KiB": "3:13: relay.max_body: expected a size such as 65536, 64KiB or 16MiB,",
    "version: 1\nrelay: {request_timeout: 10x}": "2:26: relay.request_timeout: expected a duration such as 250ms, 1",
    "version: 1\nrelay: {request_timeout: 1ms}": "2:26: relay.request_timeout: expected 0.1 to 300 seconds, found 1",
    "version: 1\nrelay: {notify: {mode: 600}}": '2:24: relay.notify.mode: expected an octal mode such as "0660", fo',
    "version: 1\nrelay: {run_dir: run}": '2:18: relay.run_dir: expected an absolute path, found "run"',
    "version: 1\nrelay: {admin: {tcp: '0.0.0.0:4307'}}": "2:22: relay.admin.tcp: expected a loopback address, found",
    "version: 1\nrelay: {pure: {listen: 'a:1'}}": "2:15: relay.pure: only allowed with mode: pure",
    "version: 1\nrelay: {id: 'a b'}": '2:13: relay.id: expected [A-Za-z0-9._-]{1,64}, found "a b"',
    "version: 1\nrelay: {audit_body: yes}": '2:21: relay.audit_body: invalid type: string "yes", expected a boolean',
    "version: 1\nupstream: {url: 'ftp://x'}": "2:17: upstream.url: expected http://host:port, https://host:port or",
    "version: 1\nupstream: {url: 'http://u:p@x'}": "2:17: upstream.url: expected no user, query or fragment in the",
    "version: 1\nupstream: {url: 'http://x', backoff: {jitter: 2}}": "2:47: upstream.backoff.jitter: expected 0 to",
    "version: 1\nupstream: {url: 'http://x', token_file: /none}": "2:41: upstream.token_file: cannot read the token",
    "version: 1\nclients: {'a:b': {uid: 1}}": "2:11: clients: client name, expected [A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "version: 1\nclients: {a: {uid: 1, color: red}}": "2:23: clients.a.color: unknown field `color`, expected one o",
    "version: 1\nclients: {a: {uid: '1'}}": '2:20: clients.a.uid: expected an integer, found string "1"',
    "version: 1\nclients: {a: {uid: 1, checks: {c: {ttl: soon}}}}": "2:41: clients.a.checks.c.ttl: expected a durat",
    "version: 1\nrelay: &r {}\nspool: !!python/object:x {}": '3:8: document: not YAML: unsupported tag "tag:yaml.or',
}


@pytest.mark.parametrize("text", FILE_FAULTS)
def test_faults_of_the_file(tmp_path: Path, text: str) -> None:
    """The file is refused as a whole, with line and key path."""
    found = faults(tmp_path, text)
    assert any(fault.startswith(FILE_FAULTS[text]) for fault in found), found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """In the order of the file, each with its place, and with a hint where one can be guessed."""
    text = (
        "version: 1\nrelay: {thread: 4, audit_body: yes}\nspool: {sync: always}\nspool: {}\n"
        "upstream: {url: 'http://x', backoff: {initial: 2m}}\n"
        "clients:\n  a: {uid: x, checks: {c: {ttl: soon}}}\n  b: {uid: 1, children: c}\n"
    )
    fields = "`id`, `mode`, `run_dir`, `state_dir`, `api_versions`, `server_name`, `max_body`, `max_header`, "
    fields += "`request_timeout`, `drain_timeout`, `threads`, `log_level`, `audit_body`, `history`, `reconcile`, "
    fields += "`notify`, `admin`, `pure`"
    boolean = 'invalid type: string "yes", expected a boolean; write `true`: YAML 1.2 knows only true and false'
    assert faults(tmp_path, text) == [
        f"2:9: relay.thread: unknown field `thread`, expected one of {fields}; did you mean `threads`?",
        f"2:32: relay.audit_body: {boolean}",
        "3:15: spool.sync: unknown variant `always`, expected `commit` or `off`",
        '4:1: spool: duplicate entry with key "spool"',
        "5:38: upstream.backoff: max 30s is less than initial 120s",
        '7:12: clients.a.uid: expected an integer, found string "x"',
        '7:33: clients.a.checks.c.ttl: expected a duration such as 250ms, 10s, 5m, 24h or 2d, found string "soon"',
        '8:25: clients.b.children: invalid type: string "c", expected a sequence; a list of one is written [c]',
    ]


def test_a_default_socket_path_may_be_too_long(tmp_path: Path) -> None:
    """The directory is at fault."""
    found = faults(tmp_path, f"version: 1\nrelay: {{run_dir: /{'x' * 100}}}\n")
    assert [fault.partition(" bytes")[0] for fault in found] == ["2:18: relay.run_dir: socket path longer than 107"] * 2


def test_the_fault_of_a_client_names_its_place(tmp_path: Path) -> None:
    """Where the client stands in the file."""
    config = read(tmp_path, "version: 1\nclients:\n  good: {uid: 1}\n  a: {}\n")
    (fault,) = client_faults(config)
    assert fault.startswith(f"{tmp_path}/relay.yaml:4:3: clients.a: identity: none given")


def test_sections_may_be_empty(tmp_path: Path) -> None:
    """A key without a value is a section with the defaults."""
    empty = "version: 1\nrelay:\ndedupe:\nspool:\nupstream:\nclients:\n"
    assert msgspec.structs.replace(read(tmp_path, empty), sha256="") == msgspec.structs.replace(
        read(tmp_path, "version: 1\n"), sha256=""
    )
    config = read(tmp_path, "version: 1\nrelay: {admin: , notify: , pure: }\nclients: {a: {uid: 1, checks: }}\n")
    assert config.clients["a"].fault is None


CLIENT_FAULTS = {
    "a: {}": "identity: none given",
    "a: {user: no-such-user}": "user: no such user: no-such-user",
    "a: {uid: 1, user: root}": "user: given together with uid",
    "a: {uid: 65534}": "overflow uid",
    "a: {uid: 1, max_connections: 2000}": "max_connections: expected 1 to 1024",
    "a: {uid: 1, children: [b]}": "children: only for kind: relay",
    "a: {uid: 1, accept_unknown: true}": "accept_unknown: only for kind: relay",
    "a: {uid: 1, socket: /" + "x" * 107 + "}": "path longer than 107 bytes",
    "a: {uid: 1, checks: {c: {}}}": "urn is required",
    "a: {uid: 1, checks: {c: {urn: [a, 'b:c']}}}": "expected a URN of 2 to 16 segments, found 'a'",
    "a: {uid: 1, checks: {'a/b': {urn: 'b:c'}}}": "check name",
    "a: {uid: 1, checks: {c: {urn: 'b:c', ttl: 40d}}}": "ttl: expected 1s to 30d",
    "a: {uid: 1, socket: /run/sondad/relay/admin.sock}": "already used by relay.admin",
}


@pytest.mark.parametrize("text", CLIENT_FAULTS)
def test_faults_of_one_client(tmp_path: Path, text: str) -> None:
    """Only that client is at fault; the file is good and the other client is served."""
    config = read(tmp_path, f"version: 1\nclients:\n  {text}\n  good: {{uid: 2}}\n")
    fault = config.clients["a"].fault
    assert fault is not None
    assert CLIENT_FAULTS[text] in fault
    assert config.clients["good"].fault is None


def test_equal_identities_are_warned_about(tmp_path: Path) -> None:
    """Both names are in the warning."""
    config = read(tmp_path, "version: 1\nclients: {a: {uid: 1}, b: {uid: 1}, c: {uid: 1, unit: x}}\n")
    assert config.warnings == ("clients a and b have identical identity attributes",)


def test_access_follows_identity(tmp_path: Path) -> None:
    """The defaults for mode and owner, and what overrides them."""
    text = (
        "version: 1\nclients: {a: {uid: 5}, b: {gid: 6}, c: {unit: x}, "
        'd: {uid: 5, mode: "0666"}, e: {unit: x, owner: 7, file_group: 8, mode: "0640"}}\n'
    )
    clients = read(tmp_path, text).clients
    assert {name: access(client) for name, client in clients.items()} == {
        "a": (0o600, 5, -1),
        "b": (0o660, -1, 6),
        "c": (0o666, -1, -1),
        "d": (0o666, 5, -1),
        "e": (0o640, 7, 8),
    }


def test_pure_mode_needs_no_identity(tmp_path: Path) -> None:
    """Its peers are trusted; the listener may be a Unix socket."""
    text = "version: 1\nrelay: {mode: pure, pure: {listen: 'unix:/run/x.sock', mode: \"0600\"}}\nclients: {a: {}}\n"
    config = read(tmp_path, text)
    assert config.clients["a"].fault is None
    assert config.relay.pure.listen == UnixAddress(path="/run/x.sock", mode=0o600)


words = st.sampled_from(
    ["version", "relay", "clients", "upstream", "spool", "uid", "checks", "urn", "1", "a", "true", "~", "'x:y'", "10s"]
)
nodes = st.recursive(
    words,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(words, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(words, nodes), max_size=4) | st.text(max_size=40))
def test_any_text_is_a_configuration_or_a_list_of_faults(tmp_path: Path, content: object) -> None:
    """No file makes the reader fail in another way."""
    text = content if isinstance(content, str) else "".join(f"{key}: {value}\n" for key, value in content)  # type: ignore[union-attr]
    (tmp_path / "relay.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ConfigError):
        load(str(tmp_path / "relay.yaml"))
