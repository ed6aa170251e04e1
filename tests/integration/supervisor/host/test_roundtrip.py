"""One request to a server over a real socket, whatever that server answers."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.host.roundtrip import Response, RoundtripError, Target, roundtrip, unix_target

Server = Callable[[Callable[[socket.socket], None]], Target]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Server]:
    """Serve one connection after the other with the given function; the request was read before."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    answers: list[Callable[[socket.socket], None]] = []

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(65536)
                    answers[-1](sock)

    def answer_with(answer: Callable[[socket.socket], None]) -> Target:
        answers.append(answer)
        return unix_target(str(tmp_path / "s"))

    thread = threading.Thread(target=run)
    thread.start()
    yield answer_with
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def get(target: Target, timeout_secs: float = 20.0, max_body_bytes: int = 2048) -> Response:
    return roundtrip(target, "GET", "/x", timeout_secs=timeout_secs, max_body_bytes=max_body_bytes)


def test_the_request_is_what_was_asked_for(serve: Server) -> None:
    """Method, prefix, path, headers and body reach the server, and the connection is announced to close."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        target = Target(url="http://h", scheme="http", host="127.0.0.1", port=port, path="", prefix="/p")
        seen: list[bytes] = []

        def answer_once() -> None:
            sock, _ = listener.accept()
            with sock:
                while not seen or not seen[0].endswith(b"body"):
                    seen[:] = [b"".join(seen) + sock.recv(65536)]
                sock.sendall(b"HTTP/1.1 202 Accepted\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer_once)
        thread.start()
        answer = roundtrip(
            target, "POST", "/y", timeout_secs=20, max_body_bytes=10, headers={"X-Id": "7"}, body=b"body"
        )
        thread.join()
    assert answer == Response(202, {"x-a": "2", "content-length": "0"}, b"")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /p/y HTTP/1.1"
    assert {b"Host: 127.0.0.1:%d" % port, b"X-Id: 7", b"Connection: close", b"Content-Length: 4"} <= set(lines)
    assert body == b"body"


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\nnothing", 204, b""),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 202 A\r\n\r\nx", 202, b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, 200, b"x" * 2048),
        (b"HTTP/1.0 503 Later\nRetry-After: 3\n\n", 503, b""),
    ],
)
def test_answers_are_read(serve: Server, raw: bytes, status: int, body: bytes) -> None:
    """By length, in chunks, to the end; interim answers are passed over; a long body is cut."""
    answer = get(serve(lambda sock: sock.sendall(raw)))
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "connection closed before the answer"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "connection closed inside the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", "connection closed inside the answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 100 C\r\n\r\n" * 20_000, "the answer is not HTTP"),
    ],
)
def test_what_is_no_answer_says_why(serve: Server, raw: bytes, reason: str) -> None:
    """Cut off, not HTTP, without end: one error with the address and the reason."""
    target = serve(lambda sock: sock.sendall(raw))
    with pytest.raises(RoundtripError) as raised:
        get(target)
    assert str(raised.value) == f"{target.url}: {reason}"


@pytest.mark.parametrize(
    "piece", [b"", b"HTTP/1.1 100 C\r\n\r\n", b"x"], ids=["silence", "interim answers", "an endless line"]
)
def test_a_server_that_never_comes_to_its_end_is_left_at_the_deadline(serve: Server, piece: bytes) -> None:
    """However its bytes trickle in, the deadline holds."""
    left = threading.Event()

    def trickle(sock: socket.socket) -> None:
        while not left.is_set():
            if piece:
                sock.sendall(piece)
            time.sleep(0.01)

    with pytest.raises(RoundtripError, match=r"no answer within 0\.3 s"):
        get(serve(trickle), timeout_secs=0.3)
    left.set()


def test_nobody_listens(tmp_path: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(RoundtripError, match="No such file"):
        get(unix_target(str(tmp_path / "nothing")))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [b"HTTP/1.1 ", b"200", b" OK\r\n", b"100", b"Content-Length: ", b"9" * 30, b"-1", b"\r\n", b"\n",
                 b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\xb2", b"ffffffffffffffffff\r\n", b": \r\n"]
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_bytes_are_an_answer_or_one_error(serve: Server, pieces: list[bytes]) -> None:
    """Nothing that a server sends raises anything else."""
    target = serve(lambda sock: sock.sendall(b"".join(pieces)))
    with contextlib.suppress(RoundtripError):
        assert 100 <= get(target).status <= 999


ASK = """
import socket
from supervisor.host.roundtrip import RoundtripError, Target, roundtrip
target = Target(url="http://parent.example", scheme="http", host="parent.example", port=1, path="", prefix="")
try:
    roundtrip(target, "GET", "/x", timeout_secs=0.2, max_body_bytes=1)
except RoundtripError as exc:
    print(exc)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a process a name server of its own")
def test_a_silent_name_server_is_left_at_the_deadline(tmp_path: Path) -> None:
    """The deadline covers the name server, which by itself would be waited for half a minute and more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((f"127.53.{os.getpid() % 256}.{os.getpid() // 256 % 254 + 1}", 53))
        resolver = tmp_path / "resolv.conf"
        resolver.write_text(f"nameserver {silent.getsockname()[0]}\noptions timeout:30 attempts:2\n")
        own = f"mount --bind {resolver} /etc/resolv.conf && exec {sys.executable} -c '{ASK}'"
        found = subprocess.run(
            ["unshare", "--mount", "sh", "-c", own], capture_output=True, text=True, check=False, timeout=60
        )
        assert silent.recv(512)
    assert (found.stdout, found.stderr) == ("http://parent.example: no answer within 0.2 s\n", "")
