"""A parent relay whose answers a test chooses."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable

from tests.support.live_relay import LiveRelay

# Bytes, what to do with the connection, or to close it without a word.
Answer = bytes | Callable[[socket.socket], None] | None


class ScriptedParent:
    """A server of the same API whose answers a test chooses; keeps what it received, in order."""

    def __init__(self, answer: Callable[[int], Answer], tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.received: list[tuple[str, str, dict[str, str]]] = []
        self.answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        try:
            sock = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
        except OSError:
            plain.close()
            return
        with sock:
            raw = b""
            while b"\r\n\r\n" not in raw:
                if not (piece := sock.recv(65536)):
                    return
                raw += piece
            head, _, body = raw.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            while len(body) < int(headers["Content-Length"]):
                if not (piece := sock.recv(65536)):
                    return
                body += piece
            self.received.append((lines[0], json.loads(body)["message"], headers))
            answer = self.answer(len(self.received))
            with contextlib.suppress(OSError):
                if callable(answer):
                    answer(sock)
                elif answer is not None:
                    sock.sendall(answer)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def reply(status: int, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


def drained(child: LiveRelay) -> bool:
    return bool(child.admin("GET", "/state").json()["spool"]["entries"] == 0)
