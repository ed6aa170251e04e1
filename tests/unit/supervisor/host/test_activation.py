"""Sockets that a service manager hands over: whose they are, and which are refused."""

import os

import pytest

from supervisor.host.activation import inherited_listener

OURS = str(os.getpid())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"},
        {"LISTEN_PID": OURS, "LISTEN_FDS": "0"},
        {"LISTEN_PID": OURS, "LISTEN_FDS": "one"},
        {"LISTEN_FDS": "1"},
    ],
)
def test_what_is_not_for_this_process_is_left_alone(environment: dict[str, str]) -> None:
    """The variables may have been inherited from a parent that they were meant for; they are removed all the same."""
    given = {"HOME": "/", **environment}
    assert inherited_listener(given) is None
    assert given == {"HOME": "/"}
