"""The control plane's WSGI application in this process, over a control plane without processes."""

from typing import Any

import falcon.testing

from common.clock import Clock
from supervisor.http.app import build_app
from supervisor.settings import Settings
from tests.support.memory_plane import MemoryControlPlane

MINIMAL_YAML = """\
version: 2
defaults: {rate: 10}
scenarios:
  - {id: up, signal_type: metrics, name: up, generator: {type: constant, value: 1.0}}
"""


class FixedClock:
    """Shows what the test sets.

    Attributes:
        now_ns: monotonic.
        since_epoch_ns: wall clock.
    """

    def __init__(self, now_ns: int = 0, since_epoch_ns: int = 0) -> None:
        self.now_ns = now_ns
        self.since_epoch_ns = since_epoch_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.since_epoch_ns


class AppClient:
    """Sends requests as waitress would; answers are Falcon's results. `options` are those of `build_app`."""

    def __init__(
        self, plane: MemoryControlPlane, settings: Settings, clock: Clock | None = None, **options: Any
    ) -> None:
        self.plane = plane
        self._app = build_app(plane, settings, clock or FixedClock(), **options).wsgi

    def request(
        self, method: str, target: str, body: bytes | str = b"", headers: dict[str, str] | None = None
    ) -> falcon.testing.Result:
        """Send one request to `target`, path and query as they would stand in the first line."""
        environ = falcon.testing.create_environ(
            method=method, query_string=target.partition("?")[2], body=body, headers=headers, host="127.0.0.1"
        )
        environ["REQUEST_URI"] = target
        begun = falcon.testing.StartResponseMock()
        content = list(self._app(environ, begun))
        return falcon.testing.Result(content, begun.status, begun.headers)

    def get(self, target: str, **options: Any) -> falcon.testing.Result:
        return self.request("GET", target, **options)

    def post_yaml(self, body: bytes | str, target: str = "/scenarios") -> falcon.testing.Result:
        return self.request("POST", target, body, {"Content-Type": "text/yaml"})

    def launch(self, body: str = MINIMAL_YAML) -> list[str]:
        """POST a body that must be accepted; returns the ids in entry order."""
        answer = self.post_yaml(body)
        assert answer.status_code == 201, answer.text
        return [row["id"] for row in answer.json.get("scenarios", [answer.json])]
