"""The states of client sockets on real sockets: every transition of the table happens, and no other can."""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from common.logs import LineWriter
from supervisor.host.loop import Loop
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.clients.sockets import ClientSocket
from supervisor.relay.clients.states import SOCKET_TRANSITIONS, SocketState, check_socket_transition
from supervisor.relay.config.reader import load
from supervisor.relay.net.audit import Audit
from supervisor.relay.net.exchange import RelayExchange
from supervisor.relay.net.http import Http

STOPPED, LISTENING = SocketState.STOPPED, SocketState.LISTENING
STOPPING, ERROR = SocketState.STOPPING, SocketState.ERROR


class Recorded(ClientSocket):
    """A client socket that notes how its state changes."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.changes: list[tuple[SocketState, SocketState]] = []
        path = folder / "relay.yaml"
        path.write_text(
            f"version: 1\nrelay: {{run_dir: {folder}, state_dir: {folder}}}\n"
            f"clients: {{agent: {{uid: {os.geteuid()}, socket: {folder}/agent.sock}}}}\n"
        )
        config = load(str(path))
        http = Http(
            loop, Audit(loop, LineWriter(os.open(os.devnull, os.O_WRONLY), "relay")), RelayCounters(), config.relay
        )
        super().__init__(config.clients["agent"], http, RelayCounters(), _refuse)
        self.path = Path(self.client.socket)

    def _become(self, state: SocketState, fault: str | None = None) -> None:
        before = self.state
        super()._become(state, fault)
        if before is not self.state:
            self.changes.append((before, self.state))


def _refuse(_exchange: RelayExchange) -> None:
    raise AssertionError("nothing is asked here")


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def drained(client: Recorded, loop: Loop) -> None:
    while client.state is STOPPING:
        loop.turn()


def test_every_transition_happens(tmp_path: Path, loop: Loop) -> None:
    """Start, stop, a path that is taken, a socket that is lost, a socket that is moved, and stop again."""
    client = Recorded(loop, tmp_path)
    client.start()
    with socket.socket(socket.AF_UNIX) as peer:
        assert peer.connect_ex(str(client.path)) == 0
    client.stop(1.0)
    client.start()
    assert client.state is STOPPING
    drained(client, loop)
    assert client.state is LISTENING, "a start during the stop counts afterwards"
    client.stop(1.0)
    drained(client, loop)
    client.path.write_text("not ours")
    client.start()
    assert (client.state, str(client.path) in (client.fault or "")) == (ERROR, True)
    client.path.unlink()
    client.reconcile()
    client.path.unlink()
    client.reconcile()
    assert client.path.is_socket()
    taken = tmp_path / "taken"
    taken.write_text("not ours")
    client.apply(msgspec.structs.replace(client.client, socket=str(taken)))
    client.stop(1.0)
    assert client.changes == [
        (STOPPED, LISTENING),
        (LISTENING, STOPPING),
        (STOPPING, STOPPED),
        (STOPPED, LISTENING),
        (LISTENING, STOPPING),
        (STOPPING, STOPPED),
        (STOPPED, ERROR),
        (ERROR, LISTENING),
        (LISTENING, ERROR),
        (ERROR, STOPPED),
    ]
    assert set(client.changes) == {(old, new) for old, news in SOCKET_TRANSITIONS.items() for new in news}


def test_a_socket_that_was_given_to_an_heir_can_be_stopped(tmp_path: Path, loop: Loop) -> None:
    """It has nothing to drain."""
    client = Recorded(loop, tmp_path)
    client.start()
    client.release()
    client.stop(1.0)
    assert client.state is STOPPED


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(SocketState, 2)))
def test_no_other_transition_is_possible(old: SocketState, new: SocketState) -> None:
    """The table decides."""
    if new in SOCKET_TRANSITIONS[old]:
        check_socket_transition(old, new)
    else:
        with pytest.raises(ValueError, match=f"{old.value} -> {new.value}"):
            check_socket_transition(old, new)


def test_the_page_lists_the_states() -> None:
    """docs/states.md has each state of a client's socket, as answers name it."""
    page = Path(__file__).parents[5].joinpath("docs", "states.md").read_text()
    rows = page.partition("## Client sockets")[2].splitlines()
    assert {row.split("`")[1] for row in rows if row.startswith("| `")} == {state.value for state in SocketState}
