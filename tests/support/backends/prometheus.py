"""A real Prometheus: scrapes what it is told to and answers queries."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.backends import backend
from tests.support.live_server import new_session
from tests.support.polling import wait_until


class Prometheus:
    """One Prometheus process on loopback with a data directory of its own.

    Args:
        directory: its own.
        scrapes: jobs of its configuration.
        program: its binary, one that also takes OpenTelemetry; Debian's, which does not, unless one is given.
        features: what of it must be asked for.
        more: other sections of its configuration.

    Attributes:
        url: where it listens.
    """

    def __init__(
        self, directory: Path, *scrapes: dict[str, Any], program: str = "", features: str = "", **more: Any
    ) -> None:
        config = directory / "prometheus.yml"
        intervals = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config.write_text(yaml.safe_dump({"global": intervals, "scrape_configs": list(scrapes), **more}))
        self._log_path = directory / "prometheus.log"
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program or backend("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                    "--web.enable-remote-write-receiver",
                    *(["--web.enable-otlp-receiver"] if program else []),
                    *([f"--enable-feature={features}"] if features else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._session = new_session()
        try:
            self.url = f"http://{wait_until(self._address, 'Prometheus listens', 30)}"
            wait_until(lambda: self._session.get(f"{self.url}/-/ready", timeout=10).ok, "Prometheus is ready", 30)
        except AssertionError:
            self.stop()
            raise

    def _address(self) -> str | None:
        log = self._log_path.read_text()
        assert self._process.poll() is None, log
        found = re.search(r'msg="Listening on".* address=(\S+)', log)
        return found and found[1]

    def query(self, expression: str) -> list[dict[str, Any]]:
        return self.api("/api/v1/query", query=expression)["result"]

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        answer = self._session.get(f"{self.url}{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def stop(self) -> None:
        self._session.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
