"""Texts from outside, of every kind and in every place: an answer that the relay knows, never a fault of the relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.live_relay import LiveRelay, clients_config, connect, exchange, live, own, pure_config, read_all

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f")
TARGETS = st.one_of(
    st.text(VISIBLE, min_size=1, max_size=30),
    st.lists(
        st.sampled_from(
            ["/", "checks", "123", "?", "status=ok", "&", "message=%FF", "%2F", "%", "*", "://", "state", "limit=",
             "offset=9", "stale=x", "action=", "%00", "..", "a" * 300, "\xff"]
        ),
        min_size=1,
        max_size=8,
    ).map(lambda parts: "/" + "".join(parts)),
)  # fmt: skip
NAMES = [
    "X-Relay-Client", "X-Relay-Time", "X-Relay-Path", "X-Request-Id", "X-Api-Version", "Content-MD5", "Content-Type",
    "Content-Encoding", "Authorization", "Expect", "Host", "Accept", "X-Other",
]  # fmt: skip
VALUES = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30),
    st.sampled_from(
        ["agent", "9" * 40, "-1", "\xb2", "a,b,,c", ",".join("abcdefghij"), "application/json; charset=\xff",
         "Bearer \xe9", "2011-06-30", "100-continue", "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA", "=" * 20]
    ),
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b'{"status":"ok","metrics":[]}', b"[" * 2000, b'{"status":' + b"9" * 5000 + b"}",
         b'{"status":"ok","metrics":1e999}', b'{"a":' * 1500 + b"1" + b"}" * 1500,
         b'{"status":"ok","metrics":[{"name":"a:b","type":"Float","value":1e400}]}']
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    """A relay with a client that may speak for others."""
    clients = own(extra='kind: relay, children: ["*"], accept_unknown: true, max_connections: 64, ')
    with live(tmp_path_factory.mktemp("clients"), clients_config(clients)) as running:
        yield running


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Unix socket of a relay in pure mode, with a token."""
    root = tmp_path_factory.mktemp("pure")
    (root / "token").write_text("sesame")
    config = pure_config(0, pure="token_file: '{root}/token', accept_unknown: true")
    with live(root, config.replace("'127.0.0.1:0'", "'unix:{root}/run/pure.sock'")):
        yield f"{root}/run/pure.sock"


@FUZZ
@given(
    st.sampled_from(["client", "admin", "pure"]),
    st.sampled_from(["POST", "GET", "HEAD", "PUT"]),
    TARGETS,
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5),
    BODIES,
)
def test_every_request_has_an_answer(
    relay: LiveRelay, parent: str, where: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    """A status and a shape that are described; nothing is a fault here."""
    address = {"client": relay.sock("agent"), "admin": relay.admin_path, "pure": parent}[where]
    fields = "".join(f"{name}: {value.strip()}\r\n" for name, value in headers)
    head = f"{method} {target} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
    answer = exchange(address, head + body)
    if answer.status == 100:
        answer = type(answer)(answer.body)
    assert answer.status in {200, 202, 400, 401, 403, 404, 405, 409, 413, 415, 431, 503}, answer.raw
    if answer.status >= 400 and method != "HEAD":
        assert set(answer.json()) == {"code", "message"}
    assert "Traceback" not in relay.log()


@FUZZ
@given(st.binary(max_size=300) | st.from_regex(rb"[a-z]{0,5}:(start|stop)\r?\n?", fullmatch=True))
def test_every_notification_has_an_answer(relay: LiveRelay, message: bytes) -> None:
    """One line, or the end."""
    path = Path(relay.admin_path).with_name("notify.sock")
    with connect(str(path)) as sock:
        sock.sendall(message)
        sock.shutdown(1)
        assert read_all(sock).split(b" ")[0] in (b"ok\n", b"error")
