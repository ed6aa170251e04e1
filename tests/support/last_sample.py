"""What a file sink wrote last, served for scrapes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class LastSample:
    """Serves the newest whole line of a file as a sample of now; nothing while there is no file.

    Attributes:
        address: `host:port` to scrape.
    """

    def __init__(self, path: Path) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = _newest(path)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Be silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _newest(path: Path) -> bytes:
    if not path.exists():
        return b""
    lines = path.read_bytes().split(b"\n")[:-1]
    return lines[-1].rpartition(b" ")[0] + b"\n" if lines else b""
