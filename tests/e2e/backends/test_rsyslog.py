"""rsyslog takes our syslog over TCP and UDP and understands every message as it was meant."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends.rsyslog import Rsyslog
from tests.support.polling import wait_until

RATE = 200
USER = "1"
SEVERITIES = {"trace": "7", "debug": "7", "info": "6", "warn": "4", "error": "3", "fatal": "0"}
LABELS = {"job": "nightly", "path": 'C:\\temp ]"x"[', "zone": "süd"}
STRUCTURED_DATA = '[sonda job="nightly" path="C:\\\\temp \\]\\"x\\"[" zone="süd"]'
LOG_GENERATOR = {
    "type": "template",
    "templates": [
        {
            "message": '{who} said "hey {{x}}" ] for <14>1 {what}',
            "field_pools": {"who": ["ann", "bob", "жора"], "what": ["nothing", "1 coin", "[a b]"]},
        },
        {"message": "plain", "field_pools": {}},
    ],
    "severity_weights": dict.fromkeys(SEVERITIES, 1),
    "seed": 5,
}


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    directory = tmp_path / "rsyslog"
    directory.mkdir()
    daemon = Rsyslog(directory)
    yield daemon
    daemon.stop()


def entry(name: str, encoder: dict[str, Any], sink: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "signal_type": "logs",
        "name": name,
        "rate": RATE,
        "duration": "2s",
        "log_generator": LOG_GENERATOR,
        "labels": LABELS,
        "encoder": encoder,
        "sink": sink,
    }


def test_every_message_is_understood(start_server: StartServer, tmp_path: Path, rsyslog: Rsyslog) -> None:
    """Both transports bring each message once and in order: facility, severity, host, program, labels, stamp, text."""
    server = start_server("--allow-path", str(tmp_path))
    events_file = tmp_path / "events.jsonl"
    transports = ("tcp", "udp")
    entries = [
        entry(
            transport,
            {"type": "syslog", "hostname": "web-1.example", "app_name": f"over-{transport}"},
            {"type": transport, "address": rsyslog.address},
        )
        for transport in transports
    ]
    # The same events as JSON say what is to be understood.
    entries.append(entry("events", {"type": "json_lines"}, {"type": "file", "path": str(events_file)}))
    rows = server.launch({"version": 2, "scenarios": entries})
    totals = [server.wait_for_state(row["id"], "finished", 20)["total_events"] for row in rows]
    # On a busy machine ticks that are overdue at the end are not fired, in one scenario more than in another.
    assert min(totals) > 100
    events = [json.loads(line) for line in events_file.read_text().splitlines()]
    assert {event["severity"] for event in events} == set(SEVERITIES)
    for transport, total in zip(transports, totals, strict=False):
        arrived = lambda total=total, app=f"over-{transport}": len(rsyslog.messages(app)) >= total  # noqa: E731
        wait_until(arrived, f"{total} messages over {transport} were written")
        messages = rsyslog.messages(f"over-{transport}")
        assert len(messages) == total
        for message, event in zip(messages, events, strict=False):
            assert message == {
                "facility": USER,
                "severity": SEVERITIES[event["severity"]],
                "version": "1",
                "host": "web-1.example",
                "app": f"over-{transport}",
                "data": STRUCTURED_DATA,
                "message": event["message"],
                "timestamp": message["timestamp"],
            }
        stamps = [datetime.fromisoformat(message["timestamp"]) for message in messages]
        # One every 5 ms, cut to whole milliseconds.
        period = timedelta(seconds=1) / RATE
        assert all(stamp - stamps[0] == place * period for place, stamp in enumerate(stamps))
