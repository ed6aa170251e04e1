"""A real nginx in front of a plain HTTP server: TLS with a certificate of a test authority."""

import socket
import subprocess
from pathlib import Path

from tests.support.backends import backend
from tests.support.backends.running import RunningProgram
from tests.support.ports import free_port

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    # In memory: a body on disk would need a directory that nginx may write to as another user.
    client_max_body_size 16m;
    client_body_buffer_size 16m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {server}
}}
"""
SERVER = """
server {
    listen 443 ssl;
    ssl_certificate     /etc/ssl/sondad.pem;
    ssl_certificate_key /etc/ssl/sondad.key;
    location / { proxy_pass http://127.0.0.1:8080; }
}
"""


class TlsProxy(RunningProgram):
    """One nginx that ends TLS and passes requests on.

    Args:
        directory: its own.
        upstream: URL of the server behind it.
        names: what its certificate is good for, such as ``DNS:localhost``.
        server: its server block, in which port, certificate, key and upstream are those of `SERVER`.

    Attributes:
        authority_path: PEM file of the certificate to trust.
        port: where it listens on 127.0.0.1.
    """

    def __init__(
        self, directory: Path, upstream: str, names: str = "DNS:localhost,IP:127.0.0.1", server: str = SERVER
    ) -> None:
        program = backend("nginx")
        self.authority_path = directory / "authority.pem"
        self.port = free_port()
        certify(directory, names)
        configuration = directory / "nginx.conf"
        own = {
            "443 ssl": f"127.0.0.1:{self.port} ssl",
            "/etc/ssl/sondad.pem": f"{directory}/server.pem",
            "/etc/ssl/sondad.key": f"{directory}/server.key",
            "http://127.0.0.1:8080": upstream,
        }
        for documented, text in own.items():
            server = server.replace(documented, text)
        configuration.write_text(CONFIGURATION.format(directory=directory, server=server))
        super().__init__([program, "-c", str(configuration), "-e", "stderr"], directory, lambda _: self._listens())

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


def certify(directory: Path, names: str) -> None:
    """Make `authority.pem`, and `server.pem` with `server.key` that it has signed for `names`."""
    openssl = backend("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        *("req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-days", "2"),
        *("-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE"),
    )
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=test server")
    (directory / "extensions").write_text(f"subjectAltName={names}\n")
    run(
        *("x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"),
        *("-out", "server.pem", "-days", "2", "-extfile", "extensions"),
    )
