"""What the page about backends tells users to type is typed, word for word, ports and directories aside."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends import backend, built
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "backends.md").read_text()


class Shell:
    """A shell in the checkout, for which programs, ports and /tmp are the test's own."""

    def __init__(self, server: LiveServer, scratch: Path) -> None:
        self.ports = {"8080": str(server.port)} | {port: str(free_port()) for port in ("8428", "9428", "9090")}
        self._scratch = scratch
        self._groups: list[int] = []

    def run(self, script: str) -> str:
        """Run `script` and return its output; what it starts in the background runs on."""
        for port, own in self.ports.items():
            script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        script = script.replace("/tmp/", f"{self._scratch}/")
        output, log = self._scratch / "output", self._scratch / "log"
        with output.open("wb") as stdout, log.open("ab") as stderr:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=ROOT,
                env={**os.environ, "PATH": f"{self._scratch}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            assert process.wait(60) == 0, log.read_text()
        return output.read_text()

    def close(self) -> None:
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


def section(title: str) -> list[str]:
    """The shell texts below one headline."""
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def shell(server: LiveServer, tmp_path: Path) -> Iterator[Shell]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shell = Shell(server, scratch)
    yield shell
    shell.close()


def test_victoria_metrics_has_what_the_example_pushes(shell: Shell, tmp_path: Path) -> None:
    """From nothing to the exported samples with two blocks of text."""
    backend("victoria-metrics")
    push, ask = section("VictoriaMetrics")
    # The example's own port, which its text takes from the daemon's environment.
    example = (ROOT / "examples" / "http-push.yaml").read_text().replace(":8428/", f":{shell.ports['8428']}/")
    (tmp_path / "scratch" / "http-push.yaml").write_text(example)
    answer = shell.run(push.replace("@examples/", "@/tmp/"))
    assert '"state":"' in answer
    exported = wait_until(lambda: shell.run(ask), "samples are exported", 30)
    assert '"__name__":"http_requests_total"' in exported
    assert '"instance":"web-3"' in exported


def test_victoria_logs_has_what_the_example_pushes(shell: Shell, tmp_path: Path) -> None:
    """The same for lines."""
    (tmp_path / "scratch" / "victoria-logs").symlink_to(built("victoria_logs"))
    push, ask = section("VictoriaLogs")
    answer = shell.run(push)
    assert '"state":"' in answer
    found = wait_until(lambda: shell.run(ask), "entries are found", 30)
    assert "missing _msg field" not in found
    assert re.search(r'\{app=\\"checkout\\",env=\\"test\\",pod=\\"checkout-[012]\\"\}', found)


def test_prometheus_has_what_the_example_writes(shell: Shell, tmp_path: Path) -> None:
    """The same for remote write."""
    backend("prometheus")
    push, ask = section("Prometheus")
    example = (ROOT / "examples" / "remote-write.yaml").read_text().replace(":9090/", f":{shell.ports['9090']}/")
    (tmp_path / "scratch" / "remote-write.yaml").write_text(example)
    answer = shell.run(push.replace("@examples/", "@/tmp/"))
    assert '"state":"' in answer
    found = wait_until(lambda: shell.run(ask), "samples are queryable", 30)
    assert '"interface":"ge-0/0/' in found


def test_no_shell_text_is_left_untyped() -> None:
    """Every block of the page is one of those above."""
    blocks = re.findall(r"^```sh\n", PAGE, re.MULTILINE)
    assert len(blocks) == sum(len(section(title)) for title in ("VictoriaMetrics", "VictoriaLogs", "Prometheus"))
