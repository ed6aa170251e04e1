"""Where a scheduler may be: over TLS anywhere, without it on loopback only."""

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from supervisor.fleet.place import FleetError, SchedulerPlace, Trust, place_of, require_loopback

TRUST = Trust("ca", "cert", "key")


@given(st.ip_addresses())
def test_without_tls_loopback_is_the_only_place(address: IPv4Address | IPv6Address) -> None:
    """Of all addresses that there are."""
    shown = f"[{address}]" if address.version == 6 else str(address)
    place = SchedulerPlace(f"tcp://{shown}:8786", None, None)
    if address.is_loopback:
        assert place.address() == f"tcp://{shown}:8786"
    else:
        with pytest.raises(FleetError, match="is not loopback"):
            place.address()
    assert SchedulerPlace(f"tls://{shown}:8786", None, TRUST).address() == f"tls://{shown}:8786"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_what_loopback_is_called(host: str) -> None:
    """Addresses, and the one name that is reserved for them."""
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "web-3", "localhost.example", "127.0.0.1.example", ""])
def test_what_others_can_reach(host: str) -> None:
    """Any other name may lead anywhere."""
    with pytest.raises(FleetError, match="--tls-ca, --tls-cert and --tls-key"):
        require_loopback(host)


@pytest.mark.parametrize(
    ("address", "trust", "told"),
    [
        ("tcp://10.0.0.5:8786", TRUST, "has no TLS"),
        ("tls://10.0.0.5:8786", None, "needs TLS"),
        ("10.0.0.5:8786", None, "expected tls://HOST:PORT or tcp://HOST:PORT"),
        ("ucx://127.0.0.1:8786", None, "expected tls://HOST:PORT or tcp://HOST:PORT"),
        ("tcp://", None, "expected tls://HOST:PORT or tcp://HOST:PORT"),
    ],
)
def test_an_address_that_does_not_fit_the_certificates(address: str, trust: Trust | None, told: str) -> None:
    """What is encrypted on one side only would fail later, and say less."""
    with pytest.raises(FleetError, match=told):
        SchedulerPlace(address, None, trust).address()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"scheduler.json: No such file .* `sondad fleet scheduler --scheduler-file` writes it"),
        ("", "is no file of a scheduler"),
        ("[]", "it has no address"),
        ("{}", "it has no address"),
        ('{"address": 7}', "it has no address"),
    ],
)
def test_a_file_that_is_none(content: str | None, told: str, tmp_path: Path) -> None:
    """Path and reason are told."""
    path = tmp_path / "scheduler.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FleetError, match=told):
        place_of(str(path), None, None, None, None).address()


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """The next scheduler has written another address."""
    path = tmp_path / "scheduler.json"
    place = place_of(str(path), None, None, None, None)
    for port in (1, 2):
        path.write_text(json.dumps({"address": f"tcp://127.0.0.1:{port}"}))
        assert place.address() == f"tcp://127.0.0.1:{port}"


def test_a_file_that_is_being_written_is_awaited(tmp_path: Path) -> None:
    """Until it has an address; one that does not fit is told at once."""
    path = tmp_path / "scheduler.json"
    place = place_of(str(path), None, None, None, None)
    contents = iter(["", '{"address": "tcp://127', '{"address": "tcp://127.0.0.1:5"}'])
    assert place.await_address(60, lambda: path.write_text(next(contents)) and None) == "tcp://127.0.0.1:5"
    path.write_text('{"address": "tcp://10.0.0.1:5"}')
    with pytest.raises(FleetError, match="is not loopback"):
        place.await_address(60)


def test_nothing_named_is_told() -> None:
    """With the flags that name it."""
    with pytest.raises(FleetError, match="--scheduler-file FILE or --scheduler ADDRESS"):
        place_of(None, None, None, None, None).address()
