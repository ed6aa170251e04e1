"""A real nginx in front of the daemon, configured as the page about operating says."""

import re
import ssl
import urllib.request
from pathlib import Path

from tests.conftest import StartServer
from tests.support.backends.tls_proxy import TlsProxy

PAGE = (Path(__file__).parents[3] / "docs/operating.md").read_text()


def test_the_documented_proxy_serves_the_api(start_server: StartServer, tmp_path: Path) -> None:
    """Over verified TLS, with the key, from the list of scenarios to a long body."""
    server = start_server(environment={"SONDA_API_KEY": "front-door"})
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    proxy = TlsProxy(tmp_path, f"http://127.0.0.1:{server.port}", server=block)
    try:
        trust = ssl.create_default_context(cafile=str(proxy.authority_path))
        headers = {"Authorization": "Bearer front-door", "Content-Type": "text/yaml"}

        def ask(path: str, body: bytes | None = None) -> bytes:
            request = urllib.request.Request(f"https://localhost:{proxy.port}{path}", body, headers)
            with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
                return answer.read()

        assert ask("/scenarios") == b'{"scenarios":[]}'
        entry = b"version: 2\nname: up\nrate: 1\ngenerator: {type: constant, value: 1}\nsink: {type: memory}\n"
        assert b'"state":"running"' in ask("/scenarios", entry + b"#" * 1_000_000)
    finally:
        proxy.stop()
