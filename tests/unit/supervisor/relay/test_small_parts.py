"""Names, rate limit, staleness, cgroups, notifications, envelope, child policy."""

import datetime
import re
import uuid
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.relay.checks.staleness import Staleness
from supervisor.relay.checks.state import utc_text
from supervisor.relay.clients.notify import parse_message
from supervisor.relay.clients.ratelimit import RateLimit
from supervisor.relay.config.names import is_urn, matches_roots
from supervisor.relay.net.answer import AnswerWriter, RefusedRequestError, RelayAnswer, new_request_id
from supervisor.relay.net.identity import cgroup_has_unit, cgroup_is_under, cgroup_path
from supervisor.relay_link.child import MAX_DELAY_SECS, STEADY_SECS, STOP_GRACE_SECS, RelayChild


@pytest.mark.parametrize(
    ("name", "roots", "valid"),
    [
        ("urn:logscan:error:count", ["urn:logscan"], True),
        ("urn:logscan", ["urn:logscan"], True),
        ("urn:logscanner:error", ["urn:logscan"], False),
        ("urn:cpu:load", ["urn:logscan"], False),
        ("URN:logscan", ["urn:logscan"], False),
        ("urn:cpu", ["urn:cpu:load"], False),
        ("urn:cpu:load:5m", ["urn:x", "urn:cpu:load"], True),
        ("amon:logscan", ["*"], True),
        ("anything", ["*"], False),
        ("urn:a\n", ["*"], False),
    ],
)
def test_metric_names_extend_a_root_by_whole_segments(name: str, roots: list[str], valid: bool) -> None:
    """Examples of names, and the grammar under `*`."""
    assert matches_roots(name, roots) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a:b", True), ("a", False), ("a:", False), (":a", False), ("a::b", False), (":".join("a" * 16), True),
        (":".join("a" * 17), False), ("a:" + "b" * 64, True), ("a:" + "b" * 65, False), ("a:é", False),
        (":".join(["b" * 63] * 4), True), (":".join(["b" * 64] * 4), False), ("a:b c", False),
    ],
)  # fmt: skip
def test_urn_grammar(text: str, valid: bool) -> None:
    """2 to 16 segments of 1 to 64 characters, 255 in all."""
    assert is_urn(text) is valid


def test_the_rate_limit_refills() -> None:
    """Burst first, then the rate; the wait is the time to the next token."""
    limit = RateLimit(2.0, 3.0)
    assert [limit.take(10.0) for _ in range(3)] == [0, 0, 0]
    assert limit.take(10.0) == 0.5
    assert limit.take(10.5) == 0
    assert limit.take(10.5) == 0.5
    assert [limit.take(100.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_staleness_follows_the_latest_update() -> None:
    """An update moves the instant; a key is reported once until it is heard of again."""
    staleness = Staleness()
    staleness.heard(("a", "x"), 1.0, 9.0)
    staleness.heard(("a", "y"), 1.0, 10.0)
    staleness.heard(("a", "z"), 1.0, None)
    staleness.heard(("a", "x"), 6.0, 9.0)
    assert staleness.take_due(9.9) == []
    assert staleness.take_due(12.0) == [("a", "y")]
    assert staleness.take_due(14.9) == []
    assert staleness.take_due(15.0) == [("a", "x")]
    assert staleness.take_due(99.0) == []


def test_other_ttls_count_from_the_latest_update() -> None:
    """A reload shortens, lengthens, adds and removes ttls; a key that was removed is never reported."""
    staleness = Staleness()
    for name, ttl_secs in (("x", 100.0), ("y", 10.0), ("z", None), ("gone", 5.0), ("off", 5.0)):
        staleness.heard(("a", name), 10.0, ttl_secs)
    staleness.forget([("a", "gone")])
    staleness.use({("a", "x"): 20.0, ("a", "y"): 40.0, ("a", "z"): 30.0, ("a", "gone"): 5.0}.get)
    assert staleness.take_due(29.9) == []
    assert staleness.take_due(30.0) == [("a", "x")]
    assert staleness.take_due(45.0) == [("a", "z")]
    assert staleness.take_due(99.0) == [("a", "y")]


def test_cgroup_rules() -> None:
    """Whole components only; the unified hierarchy before systemd's named one."""
    path = "/system.slice/db@7.service/worker"
    assert cgroup_has_unit(path, "db@7.service")
    assert cgroup_has_unit(path, "db@*.service")
    assert not cgroup_has_unit(path, "b@7.service")
    assert cgroup_is_under(path, "/system.slice")
    assert cgroup_is_under(path, path)
    assert not cgroup_is_under(path, "/system")
    assert not cgroup_is_under("/system.slice", path)
    assert cgroup_path("1:name=systemd:/b\n4:cpu:/c\n0::/a\n") == "/a"
    assert cgroup_path("4:cpu:/c\n1:name=systemd:/b:x\n") == "/b:x"
    assert cgroup_path("4:cpu:/c\n") is None


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (b"a:start", ("a", "start")), (b"a:stop\n", ("a", "stop")), (b"a:stop\r\n", ("a", "stop")), (b"a:stop\r", None),
        (b"a:Stop", None), (b"a:b:stop", None), (b"a:stop:", None), (b":stop", None), (b"", None),
        (b"a" * 252 + b":stop", None), (b"a:stop\n\n", None),
    ],
)  # fmt: skip
def test_notify_messages(raw: bytes, parsed: tuple[str, str] | None) -> None:
    """Exactly two pieces, exact commands, one line end tolerated."""
    assert parse_message(raw) == parsed


def test_the_envelope_of_an_error() -> None:
    """Headers in full; HEAD leaves out nothing but the body."""
    envelope = AnswerWriter("Joyent", "2011-06-30")
    answer = RefusedRequestError(404, "ResourceNotFound", "no é", ("X-Extra", "1")).answer()
    full = envelope.render(answer, request_id="ID", version="6.1.0", elapsed_ms=3)
    head, _, body = full.partition(b"\r\n\r\n")
    assert body == b'{"code":"ResourceNotFound","message":"no \\u00e9"}'
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", head)
    assert envelope.render(answer, request_id="ID", version="6.1.0", elapsed_ms=3, head_only=True) == head + b"\r\n\r\n"
    empty = envelope.render(RelayAnswer(202), request_id="ID", version="6.1.0", elapsed_ms=3)
    assert b"Content-Type" not in empty
    assert empty.endswith(b"Content-Length: 0\r\n\r\n")


class FakeProcess:
    """A process that ends when the test says so."""

    pid = -1

    def __init__(self) -> None:
        self.code: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, sig: int) -> None:
        self.signals.append(sig)


class Launcher:
    """Remembers what was started."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.broken = False

    def __call__(self, arguments: Sequence[str]) -> FakeProcess:
        assert list(arguments[-2:]) == ["--config", "relay.yaml"]
        assert "supervisor.relay" in " ".join(arguments)
        assert "-P" in arguments
        if self.broken:
            raise FileNotFoundError(2, "gone")
        self.started.append(FakeProcess())
        return self.started[-1]


def test_the_child_is_restarted_with_backoff() -> None:
    """After 1, 2, 4 … 30 s; a steady run starts the series again."""
    launcher = Launcher()
    child = RelayChild("relay.yaml", launcher)
    now, delays = 0.0, []
    child.start(now)
    for _ in range(7):
        launcher.started[-1].code = 1
        child.poll(now)
        assert child.next_deadline is not None
        delays.append(child.next_deadline - now)
        now = child.next_deadline
        child.poll(now - 0.01)
        assert not child.running
        child.poll(now)
        assert child.running
    assert delays == [1, 2, 4, 8, 16, MAX_DELAY_SECS, MAX_DELAY_SECS]
    now += STEADY_SECS
    launcher.started[-1].code = -9
    child.poll(now)
    assert child.next_deadline == now + 1


def test_a_child_that_cannot_be_started_is_tried_again() -> None:
    """A failing exec is like an early end."""
    launcher = Launcher()
    launcher.broken = True
    child = RelayChild("relay.yaml", launcher)
    child.start(0.0)
    assert (child.running, child.next_deadline) == (False, 1.0)
    launcher.broken = False
    child.poll(1.0)
    assert child.running


def test_stop_asks_once_and_kills_after_the_grace() -> None:
    """SIGTERM, then SIGKILL; the end is not followed by a restart."""
    launcher = Launcher()
    child = RelayChild("relay.yaml", launcher)
    child.start(0.0)
    child.stop(5.0)
    process = launcher.started[0]
    assert process.signals == [15]
    child.poll(5.0 + STOP_GRACE_SECS - 0.1)
    assert process.signals == [15]
    child.poll(5.0 + STOP_GRACE_SECS)
    assert process.signals == [15, 9]
    process.code = -9
    child.poll(20.0)
    assert (child.running, child.next_deadline, len(launcher.started)) == (False, None, 1)


def test_stop_between_two_starts_ends_the_series() -> None:
    """A relay that is down when the control plane stops is not started again."""
    launcher = Launcher()
    child = RelayChild("relay.yaml", launcher)
    child.start(0.0)
    launcher.started[0].code = 1
    child.poll(0.5)
    child.stop(0.6)
    child.poll(100.0)
    assert (child.running, len(launcher.started)) == (False, 1)


def test_request_ids_are_random_uuids() -> None:
    """Of version 4 and the variant of RFC 9562, in upper case, each another one."""
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == len(ids)
    assert {(uuid.UUID(text).version, uuid.UUID(text).variant) for text in ids} == {(4, uuid.RFC_4122)}
    assert [str(uuid.UUID(text)).upper() for text in ids] == ids


@given(st.integers(-(10**12), 253_402_300_799_999))
def test_instants_are_shown_in_utc(at_ms: int) -> None:
    """With three digits of the second, however early or late."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=at_ms)
    assert utc_text(at_ms) == f"{moment.isoformat(timespec='milliseconds')}Z"
