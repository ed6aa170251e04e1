"""Two hosts that share no loopback, and trust each other by certificates alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.backends.tls_proxy import certify
from tests.support.live_fleet import TLS, LiveFleet
from tests.support.live_server import COMMAND
from tests.support.polling import wait_until
from tests.support.two_hosts import SeparateHost, two_hosts

SCENARIO = """\
version: 2
scenarios:
  - {signal_type: metrics, name: load, rate: 200, duration: 2s, generator: {type: constant, value: 1},
     dynamic_labels: [{key: host, prefix: h, cardinality: 8}], sink: {type: stdout}}
"""
PERIOD_MS = 5


@pytest.fixture
def hosts() -> Iterator[tuple[SeparateHost, SeparateHost]]:
    with two_hosts() as hosts:
        yield hosts


def test_hosts_with_certificates_make_one_run_and_others_are_refused(
    hosts: tuple[SeparateHost, SeparateHost], start_server: StartServer, tmp_path: Path
) -> None:
    """Both start at the same instant, by the stamps that each has made; another authority admits nobody."""
    certify(tmp_path, "DNS:host")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    certify(stranger, "DNS:host")
    first, second = hosts
    (tmp_path / "load.yaml").write_text(SCENARIO)
    daemons = [start_server(command=(*host.within, COMMAND)) for host in hosts]
    fleet = LiveFleet(tmp_path, "--host", first.address, *TLS, within=first.within)
    try:
        at = ("--scheduler", fleet.address)
        assert fleet.address.startswith(f"tls://{first.address}:")
        for name, host, daemon in zip("ab", hosts, daemons, strict=True):
            fleet.add_worker(name, daemon.url, *at, "--host", host.address, *TLS, within=host.within)
        theirs = tuple(word if word.startswith("--") else f"stranger/{word}" for word in TLS)
        fleet.add_worker("stranger", daemons[1].url, *at, "--host", second.address, *theirs, within=second.within)
        done = fleet.command("run", "load.yaml", *at, *TLS, "--hosts", "2", within=second.within)
        assert done.returncode == 0, done.stderr
        wait_until(
            lambda: "CERTIFICATE_VERIFY_FAILED" in fleet.log().upper() or "alert" in fleet.log(), "it is refused"
        )
        assert len(fleet.hosts(*at, *TLS, within=second.within)) == 2
        refused = fleet.command("status", *at, *theirs, within=second.within)
        assert refused.returncode == 1
        assert f"no scheduler at {fleet.address}" in refused.stderr
    finally:
        print(fleet.log())
        fleet.close()
    lines = [line for daemon in daemons for line in daemon.stdout_path.read_text().splitlines()[1:]]
    stamps = sorted(int(line.split()[2]) for line in lines)
    assert all(len(daemon.stdout_path.read_text().splitlines()) > 100 for daemon in daemons)
    assert len(set(stamps)) == len(stamps)
    assert {(stamp - stamps[0]) % PERIOD_MS for stamp in stamps} == {0}
