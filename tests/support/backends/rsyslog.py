"""A real rsyslog: takes messages over TCP and UDP and writes down what it understood."""

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from tests.support.backends import backend
from tests.support.backends.running import RunningProgram
from tests.support.ports import free_port

_CONFIGURATION = """\
global(workDirectory="{directory}" preserveFQDN="on")
module(load="imtcp")
module(load="imudp")
input(type="imtcp" address="127.0.0.1" port="{port}")
input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m")
template(name="understood" type="list" option.jsonf="on") {{
    property(outname="severity" name="syslogseverity" format="jsonf")
    property(outname="facility" name="syslogfacility" format="jsonf")
    property(outname="version" name="protocol-version" format="jsonf")
    property(outname="timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}}
action(type="omfile" file="{output}" template="understood")
"""


class Rsyslog(RunningProgram):
    """One daemon that listens on `address`, both protocols on the same port."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._output = directory / "understood.jsonl"
        configuration = directory / "rsyslog.conf"
        configuration.write_text(_CONFIGURATION.format(directory=directory, port=port, output=self._output))

        def listens(_session: object) -> bool:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
                return True
            return False

        pid_file = directory / "rsyslog.pid"
        super().__init__([backend("rsyslogd"), "-n", "-f", str(configuration), "-i", str(pid_file)], directory, listens)

    def messages(self, app: str) -> list[dict[str, Any]]:
        """Return what was received from `app` so far, in order."""
        if not self._output.exists():
            return []
        lines = self._output.read_text().splitlines(keepends=True)
        received = [json.loads(line) for line in lines if line.endswith("\n")]
        return [message for message in received if message["app"] == app]
